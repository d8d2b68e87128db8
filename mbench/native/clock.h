// Waiting: until something happens to a socket, a deadline passes, or a signal asks the server to end.
#pragma once

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <limits>

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

inline double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

volatile sig_atomic_t stopping = 0;         // a signal asked for the end
volatile sig_atomic_t may_end_at_once = 0;  // nothing would be left behind
sigset_t unblocked;                         // the signals of a wait; elsewhere those of the server are blocked

void OnStop(int) {
  stopping = 1;
  if (may_end_at_once) _exit(0);
}

void OnChild(int) {}  // only wakes who waits

// Hear SIGTERM, SIGINT and SIGHUP as the wish to end, in waits alone, so that no signal is missed between them.
void HearSignals() {
  struct sigaction action {}, before {};
  sigset_t ours;
  sigemptyset(&ours);
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) {
    sigaction(number, nullptr, &before);
    if (number == SIGHUP && before.sa_handler == SIG_IGN) continue;  // nohup
    action.sa_handler = number == SIGCHLD ? OnChild : OnStop;
    sigaction(number, &action, nullptr);
    sigaddset(&ours, number);
  }
  sigprocmask(SIG_BLOCK, &ours, &unblocked);
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigdelset(&unblocked, number);
}

void ForgetSignals() {  // in a child
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &unblocked, nullptr);
}

// Wait for events; the number of them, 0 at the deadline, negative at a signal.
int Wait(pollfd* watched, size_t count, double deadline) {
  double left = deadline == kNever ? 0 : std::fmax(0, deadline - Now());
  timespec limit{static_cast<time_t>(left), static_cast<long>((left - std::floor(left)) * 1e9)};
  return ppoll(watched, count, deadline == kNever ? nullptr : &limit, &unblocked);
}

// Whether a socket has become ready in time.
bool Ready(int socket, short events, double deadline) {
  pollfd watched{socket, events, 0};
  while (!stopping) {
    int found = Wait(&watched, 1, deadline);
    if (found > 0) return true;
    if (found == 0 || errno != EINTR) return false;
  }
  return false;
}

// Receive or send all of it before the deadline, however it trickles.
bool Transfer(int socket, void* data, size_t size, bool receive, double deadline) {
  char* at = static_cast<char*>(data);
  while (size) {
    if (!Ready(socket, receive ? POLLIN : POLLOUT, deadline)) return false;
    ssize_t moved = receive ? recv(socket, at, size, MSG_DONTWAIT) : send(socket, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (moved < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (moved <= 0) return false;
    at += moved;
    size -= moved;
  }
  return true;
}

}  // namespace
