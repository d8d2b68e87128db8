// The two ends of TVM's RPC protocol that the server speaks: with a client, and with a tracker.
#pragma once

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include "text.h"

namespace {

constexpr int32_t kRpcMagic = 0xFF271;
constexpr int32_t kRpcMismatch = kRpcMagic + 2;
constexpr int32_t kTrackerMagic = 0x2F271;
constexpr int kTrackerPut = 3, kTrackerUpdate = 5, kTrackerPending = 7;
constexpr int32_t kLongestKey = 1000, kLongestAnswer = 1 << 20;
constexpr int kUnmatchedPolls = 4, kGreetS = 5, kTrackerS = 10, kGoneMs = 30000;

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

}  // namespace
