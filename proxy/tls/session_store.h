// A TLS client's sessions, for resumption: of one cluster, one thread. A session is offered only
// under the very context that it came from, so a change of trust ends it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/tls/certificate_identity.h"
#include "proxy/tls/context.h"
#include "proxy/tls/openssl_handles.h"

namespace remora::tls {

struct StoredSession {
  SessionHandle session;
  std::shared_ptr<const ReadCertificate> peer;
  bool verified = false;
  int64_t valid_until_s = 0;
};

class SessionStore {
 public:
  /// The newest session for that server name. One of TLS 1.3 is handed out once.
  std::optional<StoredSession> take(const ContextPtr& context, std::string_view server_name) {
    begin(context);
    for (Entry& entry : entries_) {
      if (entry.server_name == server_name) return take_from(entry);
    }
    return std::nullopt;
  }

  /// At most `max_sessions` are kept per server name, and the names used last.
  void keep(const ContextPtr& context, std::string_view server_name, StoredSession session,
            uint32_t max_sessions) {
    // A late session of a connection from before a change is not worth forgetting the newer ones.
    if (context_.lock() != context) return;
    Entry& entry = entry_for(server_name);
    entry.sessions.push_back(std::move(session));
    if (entry.sessions.size() > max_sessions) entry.sessions.erase(entry.sessions.begin());
  }

 private:
  /// A connection under a new context forgets what the old one left.
  void begin(const ContextPtr& context) {
    if (context_.lock() == context) return;
    entries_.clear();
    context_ = context;
  }

  static constexpr size_t kMaxServerNames = 64;
  struct Entry {
    std::string server_name;
    std::vector<StoredSession> sessions;  // newest last
  };

  std::optional<StoredSession> take_from(Entry& entry) {
    if (entry.sessions.empty()) return std::nullopt;
    StoredSession& newest = entry.sessions.back();
    if (SSL_SESSION_get_protocol_version(newest.session.get()) >= TLS1_3_VERSION) {
      StoredSession once = std::move(newest);
      entry.sessions.pop_back();
      return once;
    }
    SSL_SESSION_up_ref(newest.session.get());
    return StoredSession{SessionHandle(newest.session.get()), newest.peer, newest.verified,
                         newest.valid_until_s};
  }

  Entry& entry_for(std::string_view server_name) {
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].server_name != server_name) continue;
      if (i + 1 < entries_.size()) std::swap(entries_[i], entries_.back());
      return entries_.back();
    }
    if (entries_.size() >= kMaxServerNames) entries_.erase(entries_.begin());
    entries_.push_back({std::string(server_name), {}});
    return entries_.back();
  }

  std::vector<Entry> entries_;
  std::weak_ptr<const Context> context_;
};

}  // namespace remora::tls
