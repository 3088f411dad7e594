#include "xds/translate/san_match.h"

#include <absl/strings/str_cat.h>

#include "xds/translate/match.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace proto = envoy::extensions::transport_sockets::tls::v3;
using Type = tls::SanMatch::Type;

absl::StatusOr<Type> type_of(const proto::SubjectAltNameMatcher& from, const Path& path) {
  switch (from.san_type()) {
    case proto::SubjectAltNameMatcher::EMAIL:
      return Type::Email;
    case proto::SubjectAltNameMatcher::DNS:
      return Type::Dns;
    case proto::SubjectAltNameMatcher::URI:
      return Type::Uri;
    case proto::SubjectAltNameMatcher::IP_ADDRESS:
      return Type::Ip;
    case proto::SubjectAltNameMatcher::OTHER_NAME:
      return Type::OtherName;
    default:
      return path.field("san_type").error("is required");
  }
}

}  // namespace

absl::StatusOr<std::vector<tls::SanMatch>> san_matches(
    const proto::CertificateValidationContext& from, const Context& context, const Path& path) {
  std::vector<tls::SanMatch> out;
  for (int i = 0; i < from.match_typed_subject_alt_names_size(); ++i) {
    const auto& one = from.match_typed_subject_alt_names(i);
    const Path here = path.at("match_typed_subject_alt_names", static_cast<size_t>(i));
    tls::SanMatch match;
    REMORA_TRY_ASSIGN(match.type, type_of(one, here));
    if (!one.has_matcher()) return here.field("matcher").error("is required");
    REMORA_TRY_ASSIGN(match.match, string_match(one.matcher(), context, here.field("matcher")));
    if ((match.type == Type::OtherName) == one.oid().empty()) {
      return here.field("oid").error("is for san_type OTHER_NAME, which needs it");
    }
    match.oid = one.oid();
    out.push_back(std::move(match));
  }
  if (!out.empty()) return out;
  for (int i = 0; i < from.match_subject_alt_names_size(); ++i) {
    const Path here = path.at("match_subject_alt_names", static_cast<size_t>(i));
    tls::SanMatch match;
    REMORA_TRY_ASSIGN(match.match, string_match(from.match_subject_alt_names(i), context, here));
    for (Type type : {Type::Dns, Type::Uri, Type::Email, Type::Ip}) {
      match.type = type;
      out.push_back(match);
    }
  }
  return out;
}

}  // namespace remora::xds::translate
