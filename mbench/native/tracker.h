// The server's end of TVM's tracker: it offers the server, again and again, under a key that is used once.
#pragma once

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <utility>

#include "clock.h"
#include "line.h"
#include "text.h"

namespace {

constexpr int32_t kTrackerMagic = 0x2F271;
constexpr int kTrackerPut = 3, kTrackerUpdate = 5, kTrackerPending = 7;
constexpr int32_t kLongestAnswer = 1 << 20;
constexpr int kUnmatchedPolls = 4;
constexpr double kTrackerS = 3;  // for a question and its answer; meanwhile nobody else is served

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
    double deadline = Now() + kTrackerS;
    addrinfo* found = Addresses();
    for (addrinfo* at = found; at && socket_ < 0; at = at->ai_next) {
      int candidate = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol), wrong = 0;
      socklen_t size = sizeof wrong;
      if (candidate < 0) continue;
      bool begun = connect(candidate, at->ai_addr, at->ai_addrlen) == 0 || errno == EINPROGRESS;
      bool connected = begun && Ready(candidate, POLLOUT, deadline) &&
                       getsockopt(candidate, SOL_SOCKET, SO_ERROR, &wrong, &size) == 0 && wrong == 0;
      if (connected) socket_ = candidate;
      if (!connected) close(candidate);
    }
    if (found) freeaddrinfo(found);
    if (socket_ < 0) return false;
    KeepAlive(socket_);
    int32_t magic = kTrackerMagic;
    bool greeted = Transfer(socket_, &magic, sizeof magic, false, deadline) &&
                   Transfer(socket_, &magic, sizeof magic, true, deadline) && magic == kTrackerMagic;
    std::string about = "[" + std::to_string(kTrackerUpdate) + ",{\"key\":" + Quoted("server:" + key_) + ",\"addr\":[null," +
                        std::to_string(port_) + "]}]";
    return (greeted && Ask(about, nullptr)) || (Close(), false);
  }

  addrinfo* Addresses() const {
    size_t colon = address_.rfind(':');
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    sigset_t blocked;
    may_end_at_once = 1;  // nobody is served, and a name server that does not answer cannot be left otherwise
    sigprocmask(SIG_SETMASK, &unblocked, &blocked);
    int wrong = getaddrinfo(address_.substr(0, colon).c_str(), address_.substr(colon + 1).c_str(), &hints, &found);
    sigprocmask(SIG_SETMASK, &blocked, nullptr);
    may_end_at_once = 0;
    return wrong ? nullptr : found;
  }

  bool Ask(std::string request, std::string* answer) {
    double deadline = Now() + kTrackerS;
    int32_t size = static_cast<int32_t>(request.size());
    request.insert(0, reinterpret_cast<char*>(&size), sizeof size);
    bool answered = Transfer(socket_, &request[0], request.size(), false, deadline) &&
                    Transfer(socket_, &size, sizeof size, true, deadline) && size >= 0 && size <= kLongestAnswer;
    std::string unwanted, &text = answer ? *answer : unwanted;
    if (answered) text.resize(size);
    if (answered && Transfer(socket_, &text[0], text.size(), true, deadline)) return true;
    Close();
    return false;
  }

  std::string address_, key_, match_key_;
  int port_, socket_ = -1, unmatched_ = 0;
};

}  // namespace
