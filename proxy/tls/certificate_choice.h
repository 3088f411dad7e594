// Which of a server's certificates a client gets: by the name it asked for, what its side can
// verify, and the stapling policy. Pure functions over values; immutable, part of a Context.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/string_map.h"
#include "proxy/tls/credentials.h"
#include "proxy/tls/settings.h"

namespace remora::tls {

/// Of a ClientHello.
struct ClientAbilities {
  std::vector<int> ecdsa_curves;  // NIDs; empty: no ECDSA
  bool asks_for_staple = false;
};

enum class StapleAction : uint8_t { NotAsked, Omit, Show, Refuse };

struct CertificateChosen {
  size_t index = 0;
  StapleAction staple = StapleAction::NotAsked;
};

class CertificateChoice {
 public:
  CertificateChoice() = default;
  CertificateChoice(const std::vector<OwnCertificate>& certificates,
                    const ServerSettings& settings);

  /// `server_name`: SNI as the client sent it; empty: none.
  CertificateChosen choose(std::string_view server_name, const ClientAbilities& client,
                           int64_t now_s) const;

 private:
  struct Candidate {
    int curve;
    bool must_staple;
    bool has_response;
    int64_t response_valid_until_s;
  };
  struct Search;
  void add_name(std::string_view name, size_t index);
  StapleAction staple_action(const Candidate& candidate, const ClientAbilities& client,
                             int64_t now_s) const;

  std::vector<Candidate> candidates_;
  /// Lower case; ".example.com" for "*.example.com". One certificate per kind of key, the earlier
  /// one.
  StringMap<std::vector<size_t>> by_name_;
  ServerSettings::Staple policy_ = ServerSettings::Staple::Lenient;
  bool full_scan_ = false;
};

}  // namespace remora::tls
