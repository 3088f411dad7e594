// What a policy may ask about a request or a connection. Views that live as long as the decision
// takes; its worker's thread only.
#pragma once

#include "proxy/base/filter_state.h"
#include "proxy/base/metadata.h"
#include "proxy/http/header_map.h"
#include "proxy/net/address.h"
#include "proxy/net/connection_facts.h"

namespace remora::policy {

struct Facts {
  const ConnectionFacts& connection;
  const Address& remote;  // the trusted client; over TCP the connection's
  const Metadata& metadata;
  const http::HeaderMap* request = nullptr;   // null: not HTTP
  const FilterState* stream_state = nullptr;  // asked before the connection's

  const std::string* filter_state(std::string_view key) const {
    const std::string* own = stream_state == nullptr ? nullptr : stream_state->find(key);
    return own != nullptr ? own : connection.filter_state.find(key);
  }
};

/// Of a connection by itself.
inline Facts facts_of(const ConnectionFacts& connection) {
  return {connection, connection.remote, connection.metadata};
}

}  // namespace remora::policy
