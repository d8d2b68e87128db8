// mbench-server: a TVM RPC server in C++, for boards and emulators without Python.
//
// It needs libtvm_runtime.so and libtvm_ffi.so beside it and speaks TVM's RPC protocol, to a client that connects or, with
// --tracker, to one that a TVM RPC tracker sends. One client at a time, in a forked child that is killed when the line drops,
// so that nothing stays running; with --once, the first client in this very process, with DIR itself as its folder. TVM's RPC
// has no authentication: whoever connects can run code. So it listens on loopback unless it is told otherwise.
//
// Sources: the protocol is that of tvm/rpc/server.py and tvm/rpc/tracker.py; the functions of a server's own
// (tvm.rpc.server.*) those of apps/cpp_rpc in TVM.
#include <arpa/inet.h>
#include <fcntl.h>
#include <glob.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace ffi = tvm::ffi;

// What the counting plugin looks for in this program: where the counted run begins and ends, and the cuts in between.
extern "C" {
__attribute__((noinline)) void mbench_roi_begin() { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void mbench_mark() { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void mbench_roi_end() { __asm__ volatile("" ::: "memory"); }
}

namespace {

constexpr int32_t kRpcMagic = 0xFF271;
constexpr int32_t kRpcMismatch = kRpcMagic + 2;
constexpr int32_t kTrackerMagic = 0x2F271;
constexpr int kTrackerPut = 3, kTrackerUpdate = 5, kTrackerPending = 7;
constexpr int32_t kLongestKey = 1000, kLongestAnswer = 1 << 20;
constexpr size_t kLongestText = 64 << 10;
constexpr int kTrackerPollMs = 2000, kWatchMs = 100, kUnmatchedPolls = 4, kSensorMs = 5;
constexpr int kGreetS = 5, kTrackerS = 10, kGoneMs = 30000;
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

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string Quoted(const std::string& text) {  // as a JSON string
  std::string quoted = "\"";
  char code[8];
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += static_cast<char>(c);
    } else if (c < 0x20 || c >= 0x7f) {
      snprintf(code, sizeof code, "\\u%04x", c);
      quoted += code;
    } else {
      quoted += static_cast<char>(c);
    }
  }
  return quoted + "\"";
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t start = 0; start < text.size();) {
    size_t end = text.find('\n', start);
    if (end == std::string::npos) end = text.size();
    if (end > start) lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

// ------------------------------------------------------------------------------------------------- files of the machine
bool BelowAllowed(const std::string& path) {
  if (path.find("/../") != std::string::npos) return false;
  return path.rfind("/proc/", 0) == 0 || path.rfind("/sys/", 0) == 0 || path == "/etc/os-release";
}

bool ReadText(const std::string& path, std::string* text) {
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return false;
  text->clear();
  char part[4096];
  ssize_t got = 0;
  while (text->size() < kLongestText && (got = read(file, part, sizeof part)) > 0) text->append(part, got);
  close(file);
  return got >= 0;
}

ffi::String Files(ffi::String patterns) {
  std::string answer = "{", text;
  for (const std::string& pattern : Lines(patterns)) {
    glob_t found;
    if (!BelowAllowed(pattern) || glob(pattern.c_str(), 0, nullptr, &found) != 0) continue;
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      if (!ReadText(found.gl_pathv[i], &text)) continue;
      answer += (answer.size() > 1 ? "," : "") + Quoted(found.gl_pathv[i]) + ":" + Quoted(text);
    }
    globfree(&found);
  }
  return answer + "}";
}

// ---------------------------------------------------------------------------------------------------- files of a session
std::string folder;        // of the session that is served
std::string folder_wrong;  // why it could not be made, "" if well

std::string InFolder(const std::string& name) { return folder + "/" + name; }

ffi::String Append(ffi::String name, ffi::Bytes bytes, int64_t offset) {
  std::string path = InFolder(name);
  if (!folder_wrong.empty()) return folder_wrong;
  if (std::string(name).find('/') != std::string::npos) return "the name has a slash";
  int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (offset ? 0 : O_TRUNC), 0600);
  if (file < 0) return strerror(errno);
  size_t done = 0;
  std::string wrong;
  while (wrong.empty() && done < bytes.size()) {
    ssize_t wrote = pwrite(file, bytes.data() + done, bytes.size() - done, offset + static_cast<int64_t>(done));
    if (wrote < 0 && errno != EINTR) wrong = strerror(errno);
    if (wrote > 0) done += wrote;
  }
  if (close(file) != 0 && wrong.empty()) wrong = strerror(errno);
  return wrong;
}

// ------------------------------------------------------------------------------------------------------ running networks
struct Event {
  std::string name;
  double seconds;
};
std::vector<Event> events;
double started;

// The VM calls it before and after each kernel and builtin: (function, name, before, result, arguments...).
void OnCall(ffi::PackedArgs arguments, ffi::Any* result) {
  if (arguments[2].cast<bool>()) {
    mbench_mark();
    started = Now();
  } else {
    double seconds = Now() - started;
    mbench_mark();
    events.push_back({arguments[1].cast<std::string>(), seconds});
  }
  *result = 0;
}

ffi::Function LayerTimer() {
  events.clear();
  return ffi::Function::FromPacked(OnCall);
}

ffi::Function NoTimer() {  // the VM has no way to have no instrument
  return ffi::Function::FromPacked([](ffi::PackedArgs, ffi::Any* result) { *result = 0; });
}

ffi::String LayerTimes() {
  std::string answer = "[";
  char seconds[32];
  for (const Event& event : events) {
    snprintf(seconds, sizeof seconds, ",%.9f]", event.seconds);
    answer += (answer.size() > 1 ? ",[" : "[") + Quoted(event.name) + seconds;
  }
  events.clear();
  return answer + "]";
}

struct Samples {
  std::vector<std::string> paths;
  std::vector<std::string> readings;  // JSON, one a path

  void Read(double at) {
    std::string text;
    char reading[64];
    for (size_t i = 0; i < paths.size(); ++i) {
      if (!BelowAllowed(paths[i]) || !ReadText(paths[i], &text)) continue;
      snprintf(reading, sizeof reading, "%s[%.6f,%lld]", readings[i].empty() ? "" : ",", at, atoll(text.c_str()));
      readings[i] += reading;
    }
  }
};

// Run a network, whose input is set, again and again for a window, reading sensors meanwhile and at both ends.
ffi::String Loop(ffi::Module vm, ffi::String entry, double window_s, ffi::String sensors) {
  ffi::Function invoke = vm->GetFunction("invoke_stateful").value();  // functions cannot cross the line, modules can
  Samples samples;
  samples.paths = Lines(sensors);
  samples.readings.resize(samples.paths.size());
  bool done = samples.paths.empty();
  std::mutex reading;
  double start = Now();
  samples.Read(0);
  std::thread reader([&] {
    while (true) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kSensorMs));
      std::lock_guard<std::mutex> lock(reading);
      if (done) return;
      samples.Read(Now() - start);
    }
  });
  auto end = [&](bool well) {
    {
      std::lock_guard<std::mutex> lock(reading);
      done = true;
      if (well) samples.Read(Now() - start);
    }
    double window = Now() - start;
    reader.join();
    return window;
  };
  int64_t runs = 0;
  try {
    do {
      invoke(entry);
      ++runs;
    } while (Now() - start < window_s);
  } catch (...) {
    end(false);
    throw;
  }
  double window = end(true);
  char head[96];
  snprintf(head, sizeof head, "{\"runs\":%lld,\"window_s\":%.6f,\"samples\":{", static_cast<long long>(runs), window);
  std::string answer = head;
  for (size_t i = 0; i < samples.paths.size(); ++i)
    answer += (i ? "," : "") + Quoted(samples.paths[i]) + ":[" + samples.readings[i] + "]";
  return answer + "}}";
}

std::string last_session;  // how the child before this one ended, "" if well
int64_t served = 0;        // sessions so far, this one included
int64_t started_us = 0;    // when the server was started: another one has another time

// Set how many threads the runtime will have, before it has any: it cannot have more later.
void Threads(int count) { setenv("TVM_NUM_THREADS", std::to_string(count).c_str(), 1); }

int Processors() {  // that this process may run on
  cpu_set_t usable;
  return sched_getaffinity(0, sizeof usable, &usable) == 0 ? CPU_COUNT(&usable) : sysconf(_SC_NPROCESSORS_ONLN);
}

ffi::String Info() {
  utsname machine{};
  uname(&machine);
  return std::string("{\"version\":") + Quoted(MBENCH_VERSION) + ",\"architecture\":" + Quoted(machine.machine) +
         ",\"processors\":" + std::to_string(Processors()) + ",\"server\":" + std::to_string(started_us) +
         ",\"session\":" + std::to_string(served) + "}";
}

void RegisterFunctions() {
  tvm::ffi::reflection::GlobalDef()
      .def("tvm.rpc.server.workpath", [](ffi::String name) { return ffi::String(InFolder(name)); })
      .def("tvm.rpc.server.load_module", [](ffi::String name) { return ffi::Module::LoadFromFile(InFolder(name)); })
      .def("mbench.info", Info)
      .def("mbench.files", Files)
      .def("mbench.append", Append)
      .def("mbench.layer_timer", LayerTimer)
      .def("mbench.layer_times", LayerTimes)
      .def("mbench.no_timer", NoTimer)
      .def("mbench.threads", Threads)
      .def("mbench.roi", [](int on) { on ? mbench_roi_begin() : mbench_roi_end(); })
      .def("mbench.loop", Loop)
      .def("mbench.last_session", [] { return ffi::String(last_session); });
}

// -------------------------------------------------------------------------------------------------------------- the line
bool Transfer(int socket, void* data, size_t size, bool receive) {
  char* at = static_cast<char*>(data);
  while (size) {
    ssize_t moved = receive ? recv(socket, at, size, 0) : send(socket, at, size, MSG_NOSIGNAL);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return false;
    at += moved;
    size -= moved;
  }
  return true;
}

bool ReceiveInt(int socket, int32_t* value) { return Transfer(socket, value, sizeof *value, true); }
bool SendInt(int socket, int32_t value) { return Transfer(socket, &value, sizeof value, false); }

bool SendText(int socket, std::string text) {
  return SendInt(socket, static_cast<int32_t>(text.size())) && Transfer(socket, &text[0], text.size(), false);
}

bool ReceiveText(int socket, std::string* text, int32_t longest) {
  int32_t size = 0;
  if (!ReceiveInt(socket, &size) || size < 0 || size > longest) return false;
  text->resize(size);
  return Transfer(socket, &(*text)[0], size, true);
}

void KeepAlive(int socket) {  // notice within half a minute that the other side is gone without a word
  int on = 1, idle = 10, interval = 5, probes = 4;
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kGoneMs, sizeof kGoneMs);
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void SetTimeout(int socket, int seconds) {  // 0: none
  timeval limit{seconds, 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

// Greet a client; true if it speaks TVM's RPC and has the key.
bool Greet(int client, const std::string& match_key, const std::string& own_key) {
  int32_t magic = 0;
  std::string key;
  SetTimeout(client, kGreetS);  // a port scanner may say nothing at all
  if (!ReceiveInt(client, &magic) || magic != kRpcMagic || !ReceiveText(client, &key, kLongestKey)) return false;
  SetTimeout(client, 0);
  if (key.substr(0, key.find(' ')) != "client:" + match_key) {
    SendInt(client, kRpcMismatch);
    return false;
  }
  return SendInt(client, kRpcMagic) && SendText(client, "server:" + own_key);
}

// ----------------------------------------------------------------------------------------------------------- the tracker
class Tracker {
 public:
  Tracker(std::string address, std::string key, int port) : address_(std::move(address)), key_(std::move(key)), port_(port) {}

  // Offer this server under a fresh match key; false if the tracker cannot be reached.
  bool Offer() {
    if (socket_ < 0 && !Connect()) return false;
    match_key_ = key_ + ":" + std::to_string(std::chrono::system_clock::now().time_since_epoch().count() % 1000000007);
    unmatched_ = 0;
    std::string request = "[" + std::to_string(kTrackerPut) + "," + Quoted(key_) + ",[" + std::to_string(port_) + "," +
                          Quoted(match_key_) + "],null]";
    return Ask(request, nullptr);
  }

  // Offer again if the offer was taken and nobody came.
  bool Renew() {
    std::string pending;
    if (socket_ < 0) return Offer();
    if (!Ask("[" + std::to_string(kTrackerPending) + "]", &pending)) return false;
    unmatched_ = pending.find(Quoted(match_key_)) == std::string::npos ? unmatched_ + 1 : 0;
    return unmatched_ <= kUnmatchedPolls || Offer();
  }

  const std::string& match_key() const { return match_key_; }

  void Close() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }

 private:
  bool Connect() {
    size_t colon = address_.rfind(':');
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(address_.substr(0, colon).c_str(), address_.substr(colon + 1).c_str(), &hints, &found) != 0) return false;
    for (addrinfo* at = found; at && socket_ < 0; at = at->ai_next) {
      int candidate = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
      if (candidate >= 0 && connect(candidate, at->ai_addr, at->ai_addrlen) == 0) socket_ = candidate;
      if (candidate >= 0 && socket_ < 0) close(candidate);
    }
    freeaddrinfo(found);
    if (socket_ < 0) return false;
    KeepAlive(socket_);
    SetTimeout(socket_, kTrackerS);
    int32_t magic = 0;
    bool greeted = SendInt(socket_, kTrackerMagic) && ReceiveInt(socket_, &magic) && magic == kTrackerMagic;
    std::string about = "[" + std::to_string(kTrackerUpdate) + ",{\"key\":" + Quoted("server:" + key_) + ",\"addr\":[null," +
                        std::to_string(port_) + "]}]";
    return (greeted && Ask(about, nullptr)) || (Close(), false);
  }

  bool Ask(const std::string& request, std::string* answer) {
    std::string unwanted;
    bool answered = SendText(socket_, request) && ReceiveText(socket_, answer ? answer : &unwanted, kLongestAnswer);
    if (!answered) Close();
    return answered;
  }

  std::string address_, key_, match_key_;
  int port_, socket_ = -1, unmatched_ = 0;
};

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
