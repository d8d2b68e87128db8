// One end of TVM's RPC: the messages of a client that has a session, each whole within a time and of a bounded size.
#pragma once

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/string.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "clock.h"
#include "text.h"

namespace {

constexpr int32_t kRpcMagic = 0xFF271;
constexpr int32_t kRpcMismatch = kRpcMagic + 2;
constexpr uint64_t kLongestMessage = 64 << 20;   // bytes; TVM makes room for a message before it comes
constexpr int64_t kPieceOfTensor = 4 << 20;      // bytes; what clients send of a tensor in one message
constexpr size_t kPiece = 1 << 20;
constexpr int kGoneMs = 30000;

void KeepAlive(int socket) {  // notice within half a minute that the other side is gone without a word
  int on = 1, idle = 10, interval = 5, probes = 4;
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kGoneMs, sizeof kGoneMs);
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Someone who is connected: before a session, and in one.
struct Client {
  int socket = -1;
  std::string name;      // host:port
  std::string heard;     // what it sent and nobody has used yet
  double deadline = kNever;
  bool greeted = false;  // it speaks TVM's RPC, has the key, and got that answer
  bool asked = false;    // its first request is here: it is next
};

// A client's messages, for TVM's loop. Time counts only while the server waits: while a network runs, there is no limit.
class Messages {
 public:
  Messages(Client client, double idle_s) : client_(std::move(client)), idle_s_(idle_s) {}

  tvm::ffi::Bytes Receive(size_t most) {
    if (left_ == 0) {  // a message begins with its length
      deadline_ = Now() + idle_s_;
      uint64_t length = 0;
      if (most < sizeof length || !Read(reinterpret_cast<char*>(&length), sizeof length)) return tvm::ffi::Bytes("", 0);
      if (length > kLongestMessage) return Broken("it announced a message of " + std::to_string(length) + " bytes");
      left_ = length;
      return tvm::ffi::Bytes(reinterpret_cast<char*>(&length), sizeof length);
    }
    std::string piece(std::min({most, kPiece, static_cast<size_t>(left_)}), '\0');
    if (!Read(&piece[0], piece.size())) return tvm::ffi::Bytes("", 0);
    left_ -= piece.size();
    return tvm::ffi::Bytes(std::move(piece));
  }

  int64_t Send(const tvm::ffi::Bytes& bytes) {
    double deadline = Now() + idle_s_;
    if (Transfer(client_.socket, const_cast<char*>(bytes.data()), bytes.size(), false, deadline)) return bytes.size();
    if (Now() >= deadline) silent_ = true;
    return -1;
  }

  bool silent() const { return silent_; }                 // the time was over
  const std::string& broken() const { return broken_; }   // what it sent that no client sends, "" if nothing

 private:
  bool Read(char* to, size_t size) {
    size_t known = std::min(size, client_.heard.size());
    memcpy(to, client_.heard.data(), known);
    client_.heard.erase(0, known);
    if (Transfer(client_.socket, to + known, size - known, true, deadline_)) return true;
    silent_ = Now() >= deadline_;
    return false;
  }

  tvm::ffi::Bytes Broken(std::string what) {
    broken_ = std::move(what);
    return tvm::ffi::Bytes("", 0);
  }

  Client client_;
  double idle_s_, deadline_ = kNever;
  uint64_t left_ = 0;  // bytes of the message that is coming
  bool silent_ = false;
  std::string broken_;
};

}  // namespace
