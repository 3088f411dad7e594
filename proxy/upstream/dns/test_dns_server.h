// A DNS server on loopback for tests: a UDP socket in the test's own event loop with a table of
// answers.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "proxy/event/event_loop.h"
#include "proxy/event/fd_event.h"
#include "proxy/net/socket.h"

namespace remora::upstream::testing {

class TestDnsServer {
 public:
  static constexpr uint16_t kA = 1, kAaaa = 28;
  static constexpr int kNoSuchName = 3, kServerFailure = 2;

  explicit TestDnsServer(EventLoop& loop)
      : socket_(bound_socket()),
        address_(local_address_of(socket_.fd())),
        event_(loop, socket_.fd(), FdEvent::Trigger::Level, FdEvent::kRead,
               FdEvent::bind<&TestDnsServer::on_ready, TestDnsServer>(), this) {}

  const Address& address() const { return address_; }
  /// Answers for `name`; without any, and without a failure, there is no such name.
  void set(const std::string& name, std::vector<std::string> ips, uint32_t ttl_s = 60) {
    records_[name] = {std::move(ips), ttl_s, 0};
  }
  void fail(const std::string& name, int code) { records_[name] = {{}, 0, code}; }
  void set_silent(bool silent) { silent_ = silent; }
  /// Questions heard: ("name", type).
  std::vector<std::pair<std::string, uint16_t>> questions;

 private:
  struct Records {
    std::vector<std::string> ips;
    uint32_t ttl_s = 0;
    int code = 0;
  };

  static Socket bound_socket() {
    Socket socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in any = {};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(socket.fd(), reinterpret_cast<sockaddr*>(&any), sizeof(any)), 0);
    return socket;
  }

  void on_ready(uint8_t) {
    char query[512];
    sockaddr_storage from;
    socklen_t length = sizeof(from);
    const ssize_t size = ::recvfrom(socket_.fd(), query, sizeof(query), 0,
                                    reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 17) return;
    const std::string answer = answer_to(std::string(query, static_cast<size_t>(size)));
    if (silent_) return;
    ::sendto(socket_.fd(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from),
             length);
  }

  static void put16(std::string& out, uint32_t value) {
    out += static_cast<char>(value >> 8);
    out += static_cast<char>(value);
  }

  std::string answer_to(const std::string& query) {
    std::string name;
    size_t at = 12;
    while (at < query.size() && query[at] != 0) {
      if (!name.empty()) name += '.';
      name += query.substr(at + 1, static_cast<uint8_t>(query[at]));
      at += static_cast<uint8_t>(query[at]) + 1;
    }
    const uint16_t type = static_cast<uint16_t>(static_cast<uint8_t>(query[at + 1]) << 8 |
                                                static_cast<uint8_t>(query[at + 2]));
    questions.emplace_back(name, type);

    const auto found = records_.find(name);
    std::string answers;
    uint32_t count = 0;
    int code = found == records_.end() ? kNoSuchName : found->second.code;
    if (found != records_.end()) {
      for (const std::string& ip : found->second.ips) {
        const Address address = *Address::from_ip(ip, 0);
        const uint16_t record_type = address.family() == Address::Family::V4 ? kA : kAaaa;
        if (record_type != type) continue;
        ++count;
        put16(answers, 0xC00C);  // the name in the question
        put16(answers, record_type);
        put16(answers, 1);  // IN
        put16(answers, found->second.ttl_s >> 16);
        put16(answers, found->second.ttl_s & 0xFFFF);
        put16(answers, static_cast<uint32_t>(address.ip_bytes().size()));
        answers += address.ip_bytes();
      }
    }
    std::string out = query.substr(0, 2);  // id
    put16(out, 0x8180u | static_cast<uint32_t>(code));
    put16(out, 1);
    put16(out, count);
    put16(out, 0);
    put16(out, 0);
    return out + query.substr(12, at + 5 - 12) + answers;
  }

  Socket socket_;
  Address address_;
  bool silent_ = false;
  std::map<std::string, Records> records_;
  FdEvent event_;
};

}  // namespace remora::upstream::testing
