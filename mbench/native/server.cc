// mbench-server: a TVM RPC server in C++, for boards and emulators without Python.
//
// It needs libtvm_runtime.so and libtvm_ffi.so beside it and speaks TVM's RPC protocol, to a client that connects or, with
// --tracker, to one that a TVM RPC tracker sends. Many may connect, and one at a time is served, in a forked child that is
// killed when the line drops, so that nothing stays running; with --once, the first client in this very process, with DIR
// itself as its folder.
// TVM's RPC has no authentication: whoever connects can run code. So it listens on loopback unless --host is given.
//
// Here: options, listening, the loop. Who waits is in door.h, a session in session.h, what it offers in functions.h and
// files.h, the protocol in line.h and tracker.h.
// Sources: the protocol is that of tvm/rpc/server.py and tvm/rpc/tracker.py; the functions of a server's own
// (tvm.rpc.server.*) those of apps/cpp_rpc in TVM.
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "clock.h"
#include "door.h"
#include "functions.h"
#include "session.h"
#include "tracker.h"

namespace {

constexpr double kTrackerPollS = 2;
constexpr int kBacklog = 1024;

[[noreturn]] void Stop(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("mbench-server: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(2);
}

int Listen(const std::string& host, int* port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  int wrong = getaddrinfo(host.c_str(), std::to_string(*port).c_str(), &hints, &found);
  if (wrong) Stop("--host %s: %s", host.c_str(), gai_strerror(wrong));
  int listener = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (listener < 0 || bind(listener, found->ai_addr, found->ai_addrlen) || listen(listener, kBacklog)) {
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
  double hello_s = 5, idle_s = 300, upload_mib = 1024;
};

double Number(const char* option, const char* word, double least, double most, const char* expected) {
  char* end = nullptr;
  double number = strtod(word, &end);
  if (*end || end == word || !(number >= least && number <= most)) Stop("%s %s: expected %s", option, word, expected);
  return number;
}

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
    double* number = word == "--hello-timeout" ? &options.hello_s : word == "--idle-timeout" ? &options.idle_s
                     : word == "--max-upload" ? &options.upload_mib : nullptr;
    if (!text && !number && word != "--port") {
      Stop("unknown option %s; expected --host, --port, --dir, --key, --tracker, --hello-timeout, --idle-timeout, "
           "--max-upload or --once", word.c_str());
    }
    if (++i == count) Stop("%s needs a value", word.c_str());
    if (text) {
      *text = words[i];
    } else if (number) {
      bool seconds = number != &options.upload_mib;
      *number = Number(word.c_str(), words[i], seconds ? 0.01 : 1, 1e6,
                       seconds ? "seconds, from 0.01 to 1000000" : "MiB, from 1 to 1000000");
    } else {
      char* end = nullptr;
      long port = strtol(words[i], &end, 10);
      if (*end || end == words[i] || port < 0 || port > 65535) Stop("--port %s: expected a number from 0 to 65535", words[i]);
      options.port = static_cast<int>(port);
    }
  }
  if (!options.tracker.empty() && options.key.empty()) Stop("--tracker needs --key, what clients ask the tracker for");
  if (!options.tracker.empty() && options.tracker.find(':') == std::string::npos) {
    Stop("--tracker %s: expected host:port", options.tracker.c_str());
  }
  return options;
}

// Let standard streams that are closed be no sockets.
void OpenStandardStreams() {
  int file;
  while ((file = open("/dev/null", O_RDWR)) >= 0 && file <= STDERR_FILENO) continue;
  if (file >= 0) close(file);
}

// Serves a tracker's clients, or all who come: what of it is offered, and until when.
class Offers {
 public:
  Offers(const Options& options, int port)
      : address_(options.tracker), key_(options.key), tracker_(options.tracker, options.key, port) {}

  // What clients must have; null while nobody is offered a session.
  const std::string* key() const { return !tracked() ? &key_ : offered_ ? &tracker_.match_key() : nullptr; }
  bool tracked() const { return !address_.empty(); }
  double deadline() const { return tracked() ? next_at_ : kNever; }

  void Keep() {  // the tracker's offer, while nobody has a session
    if (Now() < deadline()) return;
    offered_ = offered_ ? tracker_.Renew() : tracker_.Offer();
    if (!offered_ && !told_) Log("tracker %s does not answer; trying on", address_.c_str());
    told_ = !offered_;
    next_at_ = Now() + kTrackerPollS;
  }

  void Taken() {
    offered_ = false;
    next_at_ = 0;  // the next one at once, when this one is done
  }

  void Close() { tracker_.Close(); }

 private:
  std::string address_, key_;
  Tracker tracker_;
  bool offered_ = false, told_ = false;
  double next_at_ = 0;
};

void Begin(const Options& options, Client client, Door* door, Offers* offers, Session* session) {
  if (options.once) {
    door->Close();
    exit(ServeLoop(client, kNever));
  }
  offers->Taken();
  if (offers->tracked()) door->SendAway("the tracker gave this server to another");
  session->Start(std::move(client), options.idle_s, options.parent, [&] {
    door->Close();
    offers->Close();
  });
}

[[noreturn]] void Serve(const Options& options, int listener, int port) {
  Door door(listener, options.hello_s, options.key);
  Offers offers(options, port);
  Session session;
  std::vector<pollfd> watched;
  while (!stopping) {
    Client next;
    while (!session.runs() && door.Next(&next)) Begin(options, std::move(next), &door, &offers, &session);
    if (!session.runs()) offers.Keep();
    watched = {session.Watch()};
    door.Watch(&watched);
    double deadline = std::min({door.deadline(), session.deadline(), session.runs() ? kNever : offers.deadline()});
    if (Wait(watched.data(), watched.size(), deadline) < 0) {
      for (pollfd& one : watched) one.revents = 0;  // a signal came
    }
    session.Serve(watched[0]);
    door.Serve(&watched[1], offers.key());
  }
  session.End();
  offers.Close();
  exit(0);
}

}  // namespace

int main(int count, char** words) {
  OpenStandardStreams();
  Options options = Parse(count, words);
  signal(SIGPIPE, SIG_IGN);
  sigprocmask(SIG_SETMASK, nullptr, &unblocked);
  started_us = std::chrono::system_clock::now().time_since_epoch() / std::chrono::microseconds(1);
  most_upload_bytes = static_cast<int64_t>(options.upload_mib * (1 << 20));
  if (options.once) {
    folder = options.parent;  // it is the caller's, with what it holds
  } else {
    if (!MakeFolder(options.parent)) Stop("--dir %s: %s", options.parent.c_str(), folder_wrong.c_str());
    RemoveFolder();
    HearSignals();
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
