// The order of the checks is Envoy's, as it shows in what the client is told.
#include "filters/http/jwt_authn/token.h"

#include <utility>

#include "proxy/base/base64.h"
#include "proxy/base/json.h"
#include "proxy/tls/signature.h"

namespace remora::jwt {
namespace {

constexpr double kTwoToThe64 = 18446744073709551616.0;

const MetadataValue* find(const MetadataStruct& fields, std::string_view name) {
  auto at = fields.find(name);
  return at == fields.end() ? nullptr : &at->second;
}

enum class Read : uint8_t { Absent, Good, WrongType, OutOfRange };

Read read_text(const MetadataStruct& fields, std::string_view name, std::string& out) {
  const MetadataValue* value = find(fields, name);
  if (value == nullptr) return Read::Absent;
  if (value->text() == nullptr) return Read::WrongType;
  out = *value->text();
  return Read::Good;
}

/// Seconds since the epoch; fractions, which RFC 7519 allows, are dropped.
Read read_seconds(const MetadataStruct& fields, std::string_view name, uint64_t& out) {
  const MetadataValue* value = find(fields, name);
  if (value == nullptr) return Read::Absent;
  if (value->number() == nullptr) return Read::WrongType;
  const double number = *value->number();
  if (!(number >= 0 && number < kTwoToThe64)) return Read::OutOfRange;
  out = static_cast<uint64_t>(number);
  return Read::Good;
}

/// One text or a list of them.
bool read_audiences(const MetadataStruct& payload, std::vector<std::string>& out) {
  const MetadataValue* value = find(payload, "aud");
  if (value == nullptr) return true;
  if (value->text() != nullptr) {
    out.push_back(*value->text());
    return true;
  }
  if (value->list() == nullptr) return false;
  for (const MetadataValue& element : *value->list()) {
    if (element.text() == nullptr) return false;
    out.push_back(*element.text());
  }
  return true;
}

struct Parts {
  std::string_view header, payload, signature;
};

/// Exactly three parts, none of them empty.
std::optional<Parts> split(std::string_view text) {
  const size_t first = text.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const size_t second = text.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const Parts parts = {text.substr(0, first), text.substr(first + 1, second - first - 1),
                       text.substr(second + 1)};
  if (parts.header.empty() || parts.payload.empty() || parts.signature.empty() ||
      parts.signature.find('.') != std::string_view::npos) {
    return std::nullopt;
  }
  return parts;
}

std::optional<MetadataStruct> read_object(std::string_view text) {
  auto json = parse_json(text);
  if (!json || json->fields() == nullptr) return std::nullopt;
  return *json->fields();
}

Status read_header(std::string_view part, Token& out) {
  const auto text = decode_base64url(part);
  if (!text) return Status::HeaderBadBase64;
  auto header = read_object(*text);
  if (!header) return Status::HeaderBadJson;
  out.header = *std::move(header);
  if (read_text(out.header, "alg", out.algorithm) != Read::Good) return Status::HeaderBadAlg;
  if (!tls::signature_algorithm(out.algorithm)) return Status::HeaderUnknownAlg;
  if (read_text(out.header, "kid", out.key_id) == Read::WrongType) return Status::HeaderBadKid;
  // RFC 7515 section 4.1.11: what is critical must be understood, and nothing is.
  if (find(out.header, "crit") != nullptr) return Status::VerificationFails;
  return Status::Ok;
}

struct TimeClaim {
  std::string_view name;
  Status not_integer, out_of_range;
};

Status read_time(const MetadataStruct& payload, const TimeClaim& claim, Read& read, uint64_t& out) {
  read = read_seconds(payload, claim.name, out);
  if (read == Read::WrongType) return claim.not_integer;
  if (read == Read::OutOfRange) return claim.out_of_range;
  return Status::Ok;
}

Status read_times(Token& out) {
  uint64_t seconds = 0;
  Read read;
  const TimeClaim iat = {"iat", Status::IatNotInteger, Status::IatOutOfRange};
  const TimeClaim nbf = {"nbf", Status::NbfNotInteger, Status::NbfOutOfRange};
  const TimeClaim exp = {"exp", Status::ExpNotInteger, Status::ExpOutOfRange};
  if (Status s = read_time(out.payload, iat, read, seconds); s != Status::Ok) return s;
  if (Status s = read_time(out.payload, nbf, read, out.not_before_s); s != Status::Ok) return s;
  if (Status s = read_time(out.payload, exp, read, seconds); s != Status::Ok) return s;
  if (read == Read::Good) out.expires_s = seconds;
  return Status::Ok;
}

Status read_payload(std::string_view part, Token& out) {
  const auto text = decode_base64url(part);
  if (!text) return Status::PayloadBadBase64;
  auto payload = read_object(*text);
  if (!payload) return Status::PayloadBadJson;
  out.payload = *std::move(payload);
  if (read_text(out.payload, "iss", out.issuer) == Read::WrongType) return Status::IssNotString;
  if (read_text(out.payload, "sub", out.subject) == Read::WrongType) return Status::SubNotString;
  if (Status s = read_times(out); s != Status::Ok) return s;
  std::string ignored;
  if (read_text(out.payload, "jti", ignored) == Read::WrongType) return Status::JtiNotString;
  return read_audiences(out.payload, out.audiences) ? Status::Ok : Status::AudNotString;
}

}  // namespace

Status parse_token(std::string_view text, Token& out) {
  if (text.size() > kMaxTokenBytes) return Status::BadFormat;
  const auto parts = split(text);
  if (!parts) return Status::BadFormat;
  if (Status s = read_header(parts->header, out); s != Status::Ok) return s;
  if (Status s = read_payload(parts->payload, out); s != Status::Ok) return s;
  auto signature = decode_base64url(parts->signature);
  if (!signature) return Status::SignatureBadBase64;
  out.signature = *std::move(signature);
  out.signed_part = text.substr(0, parts->header.size() + 1 + parts->payload.size());
  out.payload_part = parts->payload;
  return Status::Ok;
}

Status check_time(const Token& token, uint64_t now_s, uint64_t skew_s) {
  if (token.not_before_s > now_s && token.not_before_s - now_s > skew_s) return Status::NotYetValid;
  if (token.expires_s && now_s > *token.expires_s && now_s - *token.expires_s > skew_s) {
    return Status::Expired;
  }
  return Status::Ok;
}

}  // namespace remora::jwt
