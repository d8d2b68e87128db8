// Those who have connected and have no session yet: many at a time, none of whom can keep the others waiting.
//
// Each has a time, however many bytes it sends, to say its magic number, its key and its first request. A client does all
// of it at once; what is no client says nothing, or something else, and is dropped with a line in the log.
#pragma once

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <string>
#include <vector>

#include "line.h"

namespace {

constexpr size_t kMostWaiting = 64;
constexpr int32_t kLongestKey = 1000, kInitServer = 2;  // TVM's RPCCode of the first request
constexpr uint64_t kLongestFirst = 16 << 10;
constexpr double kPauseS = 0.1;  // where there are no file descriptors

class Door {
 public:
  Door(int listener, double hello_s, std::string own_key)
      : listener_(listener), hello_s_(hello_s), own_key_(std::move(own_key)) {}

  void Watch(std::vector<pollfd>* watched) const {
    watched->push_back({Now() < closed_until_ ? -1 : listener_, POLLIN, 0});
    for (const Client& client : waiting_) {
      watched->push_back({client.socket, static_cast<short>(client.asked ? POLLRDHUP : POLLIN | POLLRDHUP), 0});
    }
  }

  double deadline() const {
    double first = Now() < closed_until_ ? closed_until_ : kNever;
    for (const Client& client : waiting_) first = std::min(first, client.deadline);
    return first;
  }

  // Hear what has come; `seen` is what Watch has added. `key` is what clients must have, null if none is served now.
  void Serve(const pollfd* seen, const std::string* key) {
    const pollfd* at = seen + 1;
    for (auto client = waiting_.begin(); client != waiting_.end(); ++at) {
      std::string wrong = at->revents ? Hear(&*client, key) : "";
      if (wrong.empty() && Now() >= client->deadline) {
        wrong = "it did not introduce itself in time; it sent " + Excerpt(client->heard);
      }
      client = wrong.empty() ? std::next(client) : Drop(client, wrong);
    }
    for (size_t i = 0; seen->revents && i < kMostWaiting && Accept(); ++i) continue;
  }

  // The next one who is to have a session, if there is one.
  bool Next(Client* next) {
    auto found = std::find_if(waiting_.begin(), waiting_.end(), [](const Client& client) { return client.asked; });
    if (found == waiting_.end()) return false;
    *next = std::move(*found);
    waiting_.erase(found);
    return true;
  }

  void SendAway(const std::string& why) {  // all who wait
    for (auto client = waiting_.begin(); client != waiting_.end();) client = Drop(client, why);
  }

  void Close() {  // without a word
    close(listener_);
    for (const Client& client : waiting_) close(client.socket);
    waiting_.clear();
  }

 private:
  using Place = std::list<Client>::iterator;

  bool Accept() {  // one who has connected; false if there is none, or no room
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    int socket = accept4(listener_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0 && errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return false;
    if (socket < 0 || waiting_.size() >= kMostWaiting) {
      auto oldest = std::find_if(waiting_.begin(), waiting_.end(), [](const Client& one) { return !one.asked; });
      if (oldest != waiting_.end()) {
        Drop(oldest, "others wait, and it had said nothing that counts");
      } else {
        closed_until_ = Now() + kPauseS;
        if (socket >= 0) close(socket);
        return false;
      }
    }
    if (socket < 0) return true;
    KeepAlive(socket);
    char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";
    getnameinfo(reinterpret_cast<sockaddr*>(&from), size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    Client client;
    client.socket = socket;
    client.name = std::string(host) + ":" + port;
    client.deadline = Now() + hello_s_;
    waiting_.push_back(std::move(client));
    return true;
  }

  Place Drop(Place client, const std::string& why) {
    Log("dropped %s: %s", client->name.c_str(), why.c_str());
    close(client->socket);
    return waiting_.erase(client);
  }

  // Hear what a client says; what is wrong with it, "" if nothing.
  std::string Hear(Client* client, const std::string* key) {
    if (client->asked) return "it hung up while it waited for its turn";
    char part[4096];
    ssize_t got = recv(client->socket, part, sizeof part, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return "";
    if (got < 0) return strerror(errno);
    if (got == 0) return "it hung up before it introduced itself; it sent " + Excerpt(client->heard);
    client->heard.append(part, got);
    std::string wrong = client->greeted ? "" : Greet(client, key);
    return wrong.empty() && client->greeted ? Ask(client) : wrong;
  }

  std::string Greet(Client* client, const std::string* wanted) {
    const std::string& heard = client->heard;
    int32_t head[2];
    if (heard.size() < sizeof head[0]) return "";
    memcpy(head, heard.data(), std::min(sizeof head, heard.size()));
    if (head[0] != kRpcMagic) return "it is no client of TVM's RPC; it sent " + Excerpt(heard);
    if (heard.size() < sizeof head) return "";
    if (head[1] < 0 || head[1] > kLongestKey) return "it announced a key of " + std::to_string(head[1]) + " bytes";
    if (heard.size() < sizeof head + head[1]) return "";
    std::string key = heard.substr(sizeof head, head[1]);
    if (!wanted || key.substr(0, key.find(' ')) != "client:" + *wanted) {
      send(client->socket, &kRpcMismatch, sizeof kRpcMismatch, MSG_NOSIGNAL | MSG_DONTWAIT);
      return "it has the wrong key, " + Excerpt(key);
    }
    client->heard.erase(0, sizeof head + head[1]);
    client->greeted = true;
    std::string own = "server:" + own_key_, answer(sizeof head, '\0');
    head[1] = static_cast<int32_t>(own.size());
    memcpy(&answer[0], head, sizeof head);
    answer += own;
    bool sent = send(client->socket, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(answer.size());
    return sent ? "" : "it does not take an answer";
  }

  std::string Ask(Client* client) {
    uint64_t length;
    int32_t code;
    if (client->heard.size() < sizeof length) return "";
    memcpy(&length, client->heard.data(), sizeof length);
    if (length < sizeof code || length > kLongestFirst) return "its first request has " + std::to_string(length) + " bytes";
    if (client->heard.size() < sizeof length + sizeof code) return "";
    memcpy(&code, client->heard.data() + sizeof length, sizeof code);
    if (code != kInitServer) return "its first request does not begin a session; it has the code " + std::to_string(code);
    if (client->heard.size() < sizeof length + length) return "";
    client->asked = true;
    client->deadline = kNever;  // from here on it waits for us
    return "";
  }

  int listener_;
  double hello_s_, closed_until_ = 0;
  std::string own_key_;
  std::list<Client> waiting_;  // the first to come is the first
};

}  // namespace
