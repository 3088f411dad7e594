// Facts for the tests of this room: a request over a connection that can be changed at will.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "proxy/policy/facts.h"

namespace remora::policy::testing {

struct FakeTls final : TlsFacts {
  std::string peer_pem() const override { return {}; }
  std::string peer_chain_pem() const override { return {}; }
};

class TestFacts {
 public:
  TestFacts() {
    connection.local = *Address::from_ip("10.2.2.2", 8080);
    connection.remote = *Address::from_ip("10.1.1.1", 4000);
    connection.direct_remote = *Address::from_ip("10.9.9.9", 5000);
    request.add(http::HeaderId::Method, "GET");
    request.add(http::HeaderId::Path, "/index?q=1");
    request.add(http::HeaderId::Authority, "app.local");
  }

  Facts facts() {
    Facts out = {connection, remote, connection.metadata, &request};
    out.stream_state = &stream_state;
    return out;
  }

  /// A peer whose certificate was verified.
  CertificateIdentity& peer() {
    if (tls.peer == nullptr) {
      identity = std::make_shared<CertificateIdentity>();
      tls.peer = identity;
      tls.peer_verified = true;
      connection.tls = &tls;
    }
    return *identity;
  }

  BlockPool pool;
  Arena arena{pool};
  ConnectionFacts connection;
  Address remote = *Address::from_ip("192.0.2.7", 0);
  http::HeaderMap request{arena};
  FilterState stream_state;
  FakeTls tls;
  std::shared_ptr<CertificateIdentity> identity;
};

inline StringMatch text(StringMatch::Kind kind, std::string_view text) {
  StringMatch out;
  out.kind = kind;
  out.text = text;
  return out;
}
inline StringMatch exactly(std::string_view what) { return text(StringMatch::Kind::Exact, what); }

}  // namespace remora::policy::testing
