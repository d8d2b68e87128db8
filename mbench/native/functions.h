// What the server offers beyond TVM's own functions: files (see files.h), instruments, loops. One session a process.
#pragma once

#include <sched.h>
#include <sys/utsname.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "clock.h"
#include "files.h"
#include "line.h"
#include "text.h"

// What the counting plugin looks for in this program: where the counted run begins and ends, and the marks in between.
extern "C" {
__attribute__((noinline)) void mbench_roi_begin() { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void mbench_mark() { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void mbench_roi_end() { __asm__ volatile("" ::: "memory"); }
}

namespace {

constexpr int kSensorMs = 5;
constexpr double kLongestLoopS = 3600;

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
  std::vector<std::string> files;     // without links; "" where one may not be read
  std::vector<std::string> readings;  // JSON, one a path

  void Read(double at) {
    std::string text;
    char reading[64];
    for (size_t i = 0; i < paths.size(); ++i) {
      if (files[i].empty() || !ReadText(files[i], &text)) continue;
      snprintf(reading, sizeof reading, "%s[%.6f,%lld]", readings[i].empty() ? "" : ",", at, atoll(text.c_str()));
      readings[i] += reading;
    }
  }
};

// Run a network, whose input is set, again and again for a window, reading sensors meanwhile and at both ends.
ffi::String Loop(ffi::Module vm, ffi::String entry, double window_s, ffi::String sensors) {
  if (!(window_s >= 0 && window_s <= kLongestLoopS)) throw std::invalid_argument("a loop lasts 0 to 3600 s");
  ffi::Function invoke = vm->GetFunction("invoke_stateful").value();  // functions cannot cross the line, modules can
  Samples samples;
  samples.paths = Lines(sensors);
  for (const std::string& path : samples.paths) samples.files.push_back(Readable(path));
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
      .def("tvm.rpc.server.GetCRTMaxPacketSize", [] { return kPieceOfTensor; })
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
