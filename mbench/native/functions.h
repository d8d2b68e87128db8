// What the server offers beyond TVM's own functions: the machine's files, uploads, instruments, loops. One session a process.
#pragma once

#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <sys/utsname.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "text.h"

namespace ffi = tvm::ffi;

// What the counting plugin looks for in this program: where the counted run begins and ends, and the cuts in between.
extern "C" {
__attribute__((noinline)) void mbench_roi_begin() { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void mbench_mark() { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void mbench_roi_end() { __asm__ volatile("" ::: "memory"); }
}

namespace {

constexpr size_t kLongestText = 64 << 10;
constexpr int kSensorMs = 5;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
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

}  // namespace
