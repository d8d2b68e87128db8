// A session: a child process that serves one client, and is ended when the client is gone, whatever it is doing.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

#include "clock.h"
#include "files.h"
#include "functions.h"
#include "line.h"
#include "text.h"

namespace {

constexpr int kBroken = 1, kNoMemory = 12, kSilent = 13, kNonsense = 14;  // exit statuses of a session
constexpr double kGraceS = 0.1;  // to end by itself, as a session does that was idle when its client hung up

// Serve a client until it is done; the exit status.
int ServeLoop(const Client& client, double idle_s) {
  Messages messages(client, idle_s);
  int status = 0;
  try {
    ffi::Function::GetGlobalRequired("rpc.ServerLoop")(
        ffi::Function::FromTyped([&](ffi::Bytes bytes) { return messages.Send(bytes); }),
        ffi::Function::FromTyped([&](int64_t most) { return messages.Receive(static_cast<size_t>(most)); }));
  } catch (const std::exception& error) {
    status = strstr(error.what(), "bad_alloc") ? kNoMemory : kBroken;
    if (!messages.silent() && messages.broken().empty()) Log("%s", Quoted(std::string(error.what()).substr(0, 500)).c_str());
  }
  if (messages.silent()) Log("ended the session of %s: no whole request came, or no answer was taken, for %g s", client.name.c_str(), idle_s);
  if (!messages.broken().empty()) Log("ended the session of %s: %s", client.name.c_str(), messages.broken().c_str());
  return messages.silent() ? kSilent : !messages.broken().empty() ? kNonsense : status;
}

std::string HowEnded(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoMemory) return "std::bad_alloc (out of memory)";
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSilent) return "the server: no request came within its --idle-timeout";
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNonsense) return "the server: a request was none of TVM's RPC";
  if (WIFEXITED(status)) return "exit status " + std::to_string(WEXITSTATUS(status));
  switch (WTERMSIG(status)) {
    case SIGILL: return "SIGILL (illegal instruction)";
    case SIGSEGV: return "SIGSEGV (bad memory access)";
    case SIGKILL: return "SIGKILL (killed; out of memory?)";
    case SIGABRT: return "SIGABRT (aborted)";
    case SIGBUS: return "SIGBUS (bad memory access)";
    default: return "signal " + std::to_string(WTERMSIG(status));
  }
}

// Let this process have no more memory than the machine has to spare, so that a wrong length ends it and nothing else.
void LimitMemory() {
  std::string text;
  rlimit limit{};
  size_t at = ReadText("/proc/meminfo", &text) ? text.find("MemAvailable:") : std::string::npos;
  if (at == std::string::npos || getrlimit(RLIMIT_DATA, &limit) != 0) return;
  rlim_t spare = strtoull(text.c_str() + at + strlen("MemAvailable:"), nullptr, 10) << 10;
  if (spare && (limit.rlim_cur == RLIM_INFINITY || spare < limit.rlim_cur)) limit.rlim_cur = spare;
  setrlimit(RLIMIT_DATA, &limit);
}

class Session {
 public:
  bool runs() const { return child_ > 0; }

  // Start to serve a client; `forget` closes, in the child, what is the server's alone.
  void Start(Client client, double idle_s, const std::string& parent, const std::function<void()>& forget) {
    client_ = std::move(client);
    end_at_ = kNever;
    dropped_ = killed_ = false;
    ++served;
    MakeFolder(parent);
    fflush(nullptr);
    child_ = fork();
    if (child_ == 0) {
      setpgid(0, 0);
      ForgetSignals();
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      forget();
      LimitMemory();
      int status = ServeLoop(client_, idle_s);
      fflush(nullptr);
      _exit(status);
    }
    if (child_ < 0) {
      Log("no process for a session: %s", strerror(errno));
      Leave();
    } else {
      setpgid(child_, child_);  // whoever of the two comes first
    }
  }

  pollfd Watch() const { return {runs() && !dropped_ ? client_.socket : -1, POLLRDHUP, 0}; }
  double deadline() const { return end_at_; }

  // Note that the client is gone, or that the child has ended.
  void Serve(const pollfd& seen) {
    if (!runs()) return;
    if (seen.revents && !dropped_) {
      dropped_ = true;
      end_at_ = Now() + kGraceS;
    }
    siginfo_t ended{};
    if (waitid(P_PID, child_, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == child_) return Finish();
    if (Now() >= end_at_) Kill();
  }

  void End() {  // at once
    if (!runs()) return;
    Kill();
    Finish();
  }

 private:
  void Kill() {
    killed_ = true;
    kill(-child_, SIGKILL);
    kill(child_, SIGKILL);
    end_at_ = kNever;  // SIGCHLD wakes us
  }

  void Finish() {
    int status = 0;
    if (!killed_) kill(-child_, SIGKILL);  // what it has started
    while (waitpid(child_, &status, 0) < 0 && errno == EINTR) continue;
    pollfd line{client_.socket, POLLRDHUP, 0};
    // without a client, a session ends by an error of its own; one that broke for another reason asks its client to go
    bool gone = (dropped_ || poll(&line, 1, 0) > 0) && WIFEXITED(status) && WEXITSTATUS(status) == kBroken;
    last_session = killed_ || gone ? "" : HowEnded(status);
    if (!last_session.empty()) Log("the session of %s was ended by %s", client_.name.c_str(), last_session.c_str());
    Leave();
  }

  void Leave() {
    close(client_.socket);
    child_ = -1;
    end_at_ = kNever;
    RemoveFolder();
  }

  Client client_;
  pid_t child_ = -1;
  bool dropped_ = false, killed_ = false;
  double end_at_ = kNever;
};

}  // namespace
