// mbench-server: a TVM RPC server in C++, for boards and emulators without Python.
//
// It needs libtvm_runtime.so and libtvm_ffi.so beside it and speaks TVM's RPC protocol, to a client that connects or, with
// --tracker, to one that a TVM RPC tracker sends. One client at a time, in a forked child that is killed when the line
// drops, so that nothing stays running; with --once, the first client in this very process, with DIR itself as its folder.
// TVM's RPC has no authentication: whoever connects can run code. So it listens on loopback unless it is told otherwise.
//
// Here: options, listening, sessions. What a session offers is in functions.h, the protocol in line.h.
// Sources: the protocol is that of tvm/rpc/server.py and tvm/rpc/tracker.py; the functions of a server's own
// (tvm.rpc.server.*) those of apps/cpp_rpc in TVM.
#include <glob.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "functions.h"
#include "line.h"

namespace {

constexpr int kTrackerPollMs = 2000, kWatchMs = 100;
constexpr int kBroken = 1, kNoMemory = 12;  // exit statuses of a session

volatile sig_atomic_t stopping = 0;  // a signal asked for the end

[[noreturn]] void Stop(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("mbench-server: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(2);
}

// -------------------------------------------------------------------------------------------------------------- sessions
void RemoveFolder() {
  if (!folder_wrong.empty()) return;
  glob_t found;
  if (glob((folder + "/*").c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) unlink(found.gl_pathv[i]);
    globfree(&found);
  }
  rmdir(folder.c_str());
}

int ServeLoop(int client) {
  try {
    ffi::Function::GetGlobalRequired("rpc.ServerLoop")(client);
  } catch (const std::exception& error) {
    fprintf(stderr, "mbench-server: %s\n", error.what());
    return strstr(error.what(), "bad_alloc") ? kNoMemory : kBroken;
  }
  return 0;
}

std::string HowEnded(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoMemory) return "std::bad_alloc (out of memory)";
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

bool Dropped(int client, int wait_ms) {
  pollfd line{client, POLLRDHUP, 0};
  return poll(&line, 1, wait_ms) > 0;
}

void Stopping(int) { stopping = 1; }

void OnSignal(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;  // no SA_RESTART: what waits shall notice
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
}

// Serve a client in a child of its own, and end that when the client is gone, whatever it is doing.
void ServeInChild(int client, int listener) {
  fflush(nullptr);
  pid_t child = fork();
  if (child < 0) {
    fprintf(stderr, "mbench-server: no process for a session: %s\n", strerror(errno));
    return;
  }
  if (child == 0) {
    OnSignal(SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(listener);
    int status = ServeLoop(client);
    fflush(nullptr);
    _exit(status);
  }
  int status = 0;
  bool dropped = false, killed = false;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (!dropped && !stopping) {
      dropped = Dropped(client, kWatchMs);
      if (dropped) usleep(kWatchMs * 1000);  // let it end by itself, as it does when it was idle
      continue;
    }
    killed = true;
    kill(child, SIGKILL);
    usleep(kWatchMs * 1000);
  }
  // without a client, a session ends by an error of its own; one that broke for another reason tells its client to go
  bool gone = (dropped || Dropped(client, 0)) && WIFEXITED(status) && WEXITSTATUS(status) == kBroken;
  last_session = killed || gone ? "" : HowEnded(status);
  if (!last_session.empty()) fprintf(stderr, "mbench-server: a session ended by %s\n", last_session.c_str());
}

int Listen(const std::string& host, int* port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  int wrong = getaddrinfo(host.c_str(), std::to_string(*port).c_str(), &hints, &found);
  if (wrong) Stop("--host %s: %s", host.c_str(), gai_strerror(wrong));
  int listener = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (listener < 0 || bind(listener, found->ai_addr, found->ai_addrlen) || listen(listener, 8)) {
    if (errno == EADDRINUSE) Stop("port %d is in use on %s; choose another with --port", *port, host.c_str());
    Stop("cannot listen on %s:%d: %s", host.c_str(), *port, strerror(errno));
  }
  freeaddrinfo(found);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(listener, reinterpret_cast<sockaddr*>(&bound), &size);
  *port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                            : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
  return listener;
}

struct Options {
  std::string host = "127.0.0.1", parent = "/tmp", key, tracker;
  int port = 9090;
  bool once = false;
};

Options Parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    std::string word = words[i];
    if (word == "--once") {
      options.once = true;
      continue;
    }
    std::string* text = word == "--host" ? &options.host : word == "--dir" ? &options.parent : word == "--key" ? &options.key
                        : word == "--tracker" ? &options.tracker : nullptr;
    if (!text && word != "--port") {
      Stop("unknown option %s; expected --host, --port, --dir, --key, --tracker or --once", word.c_str());
    }
    if (++i == count) Stop("%s needs a value", word.c_str());
    if (text) {
      *text = words[i];
      continue;
    }
    char* end = nullptr;
    long port = strtol(words[i], &end, 10);
    if (*end || end == words[i] || port < 0 || port > 65535) Stop("--port %s: expected a number from 0 to 65535", words[i]);
    options.port = static_cast<int>(port);
  }
  if (!options.tracker.empty() && options.key.empty()) Stop("--tracker needs --key, what clients ask the tracker for");
  if (!options.tracker.empty() && options.tracker.find(':') == std::string::npos) {
    Stop("--tracker %s: expected host:port", options.tracker.c_str());
  }
  return options;
}

bool MakeFolder(const std::string& parent) {
  folder = parent + "/mbench-server-XXXXXX";
  folder_wrong = mkdtemp(&folder[0]) ? "" : strerror(errno);
  return folder_wrong.empty();
}

[[noreturn]] void Serve(const Options& options, int listener, int port) {
  Tracker tracker(options.tracker, options.key, port);
  bool tracked = !options.tracker.empty(), offered = false, told = false;
  while (!stopping) {
    if (tracked) {
      offered = offered ? tracker.Renew() : tracker.Offer();
      if (!offered && !told) fprintf(stderr, "mbench-server: tracker %s does not answer; trying on\n", options.tracker.c_str());
      told = !offered;
    }
    pollfd waiting{listener, POLLIN, 0};
    if (poll(&waiting, 1, tracked ? kTrackerPollMs : -1) <= 0) continue;
    int client = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    KeepAlive(client);
    if (Greet(client, tracked ? tracker.match_key() : options.key, options.key)) {
      if (options.once) {
        close(listener);
        exit(ServeLoop(client));
      }
      ++served;
      MakeFolder(options.parent);
      ServeInChild(client, listener);
      RemoveFolder();
      offered = false;
    }
    close(client);
  }
  tracker.Close();
  exit(0);
}

}  // namespace

int main(int count, char** words) {
  Options options = Parse(count, words);
  signal(SIGPIPE, SIG_IGN);
  started_us = std::chrono::system_clock::now().time_since_epoch() / std::chrono::microseconds(1);
  if (options.once) {
    folder = options.parent;  // it is the caller's, with what it holds
  } else {
    if (!MakeFolder(options.parent)) Stop("--dir %s: %s", options.parent.c_str(), folder_wrong.c_str());
    RemoveFolder();
    OnSignal(Stopping);
  }
  RegisterFunctions();
  int port = options.port, listener = Listen(options.host, &port);
  printf("mbench-server: listening on %s:%d\n", options.host.c_str(), port);
  if (options.host != "127.0.0.1" && options.host != "localhost" && options.host != "::1") {
    printf("mbench-server: whoever reaches this address can run code here; TVM's RPC has no authentication\n");
  }
  fflush(stdout);
  Serve(options, listener, port);
}
