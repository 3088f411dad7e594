#include "xds/translate/match.h"

#include <absl/strings/ascii.h>

#include "api/uri_template.pb.h"
#include "xds/translate/context_match.h"
#include "xds/translate/joined_headers.h"
#include "xds/translate/runtime.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/uri_template.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace matcher = envoy::type::matcher::v3;
namespace route = envoy::config::route::v3;

constexpr size_t kMaxQueryNameBytes = 1024;

absl::Status set_text(router::StringMatch::Kind kind, const std::string& text, bool ignore_case,
                      router::StringMatch* out, const Path& path) {
  // Empty text would match everything or nothing, depending on who reads it.
  if (text.empty() && kind != router::StringMatch::Kind::Exact) {
    return path.error("must not be empty");
  }
  out->kind = kind;
  out->ignore_case = ignore_case;
  out->text = ignore_case ? absl::AsciiStrToLower(text) : text;
  return absl::OkStatus();
}

absl::Status set_regex(const matcher::RegexMatcher& proto, const Context& context,
                       router::StringMatch* out, const Path& path) {
  out->kind = router::StringMatch::Kind::Regex;
  REMORA_TRY_ASSIGN(out->regex, regex(proto, context, path));
  return absl::OkStatus();
}

using StringKind = router::StringMatch::Kind;

absl::Status set_header_string(StringKind kind, const std::string& text, router::HeaderMatch* out,
                               const Path& path) {
  out->kind = router::HeaderMatch::Kind::String;
  return set_text(kind, text, false, &out->string, path);
}

// A range that ends before it starts matches nothing.
absl::Status set_range(const envoy::type::v3::Int64Range& range, router::HeaderMatch* out) {
  out->kind = router::HeaderMatch::Kind::Range;
  out->range_start = range.start();
  out->range_end = range.end();
  return absl::OkStatus();
}

absl::Status set_header_specifier(const route::HeaderMatcher& proto, const Context& context,
                                  router::HeaderMatch* out, const Path& path) {
  switch (proto.header_match_specifier_case()) {
    case route::HeaderMatcher::kStringMatch:
      out->kind = router::HeaderMatch::Kind::String;
      REMORA_TRY_ASSIGN(out->string,
                        string_match(proto.string_match(), context, path.field("string_match")));
      return absl::OkStatus();
    case route::HeaderMatcher::kExactMatch:
      // The deprecated form with empty text has always meant that the header is there.
      if (proto.exact_match().empty()) return absl::OkStatus();
      return set_header_string(StringKind::Exact, proto.exact_match(), out,
                               path.field("exact_match"));
    case route::HeaderMatcher::kPrefixMatch:
      return set_header_string(StringKind::Prefix, proto.prefix_match(), out,
                               path.field("prefix_match"));
    case route::HeaderMatcher::kSuffixMatch:
      return set_header_string(StringKind::Suffix, proto.suffix_match(), out,
                               path.field("suffix_match"));
    case route::HeaderMatcher::kContainsMatch:
      return set_header_string(StringKind::Contains, proto.contains_match(), out,
                               path.field("contains_match"));
    case route::HeaderMatcher::kSafeRegexMatch:
      out->kind = router::HeaderMatch::Kind::String;
      return set_regex(proto.safe_regex_match(), context, &out->string,
                       path.field("safe_regex_match"));
    case route::HeaderMatcher::kRangeMatch:
      return set_range(proto.range_match(), out);
    case route::HeaderMatcher::kPresentMatch:
      out->present = proto.present_match();
      return absl::OkStatus();
    case route::HeaderMatcher::HEADER_MATCH_SPECIFIER_NOT_SET:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status set_template(const envoy::config::core::v3::TypedExtensionConfig& proto,
                          std::shared_ptr<const re2::RE2>* out, const Path& path) {
  using Template = envoy::extensions::path::match::uri_template::v3::UriTemplateMatchConfig;
  const Path here = path.field("typed_config");
  auto config = unpack_as<Template>(proto.typed_config(), here);
  if (!config.ok()) return config.status();
  auto form = uri_template(config->path_template());
  if (!form.ok()) return here.field("path_template").error(std::string(form.status().message()));
  *out = *std::move(form);
  return absl::OkStatus();
}

absl::Status set_path(const route::RouteMatch& proto, const Context& context,
                      router::RouteMatch* out, const Path& path) {
  using Kind = router::RouteMatch::Kind;
  switch (proto.path_specifier_case()) {
    case route::RouteMatch::kPrefix:
      out->kind = Kind::Prefix;
      out->path = proto.prefix();
      return absl::OkStatus();
    case route::RouteMatch::kPath:
      out->kind = Kind::Path;
      out->path = proto.path();
      return absl::OkStatus();
    case route::RouteMatch::kPathSeparatedPrefix:
      out->kind = Kind::PathSeparatedPrefix;
      out->path = proto.path_separated_prefix();
      if (out->path.empty() || out->path.back() == '/' ||
          out->path.find_first_of("?#") != std::string::npos) {
        return path.field("path_separated_prefix")
            .error("must not be empty, end with '/' or contain '?' or '#'");
      }
      return absl::OkStatus();
    case route::RouteMatch::kSafeRegex:
      out->kind = Kind::Regex;
      REMORA_TRY_ASSIGN(out->regex, regex(proto.safe_regex(), context, path.field("safe_regex")));
      return absl::OkStatus();
    case route::RouteMatch::kConnectMatcher:
      out->kind = Kind::Connect;
      return absl::OkStatus();
    case route::RouteMatch::kPathMatchPolicy:
      out->kind = Kind::Regex;
      return set_template(proto.path_match_policy(), &out->regex, path.field("path_match_policy"));
    case route::RouteMatch::PATH_SPECIFIER_NOT_SET:
      return path.error("has no path specifier");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<router::StringMatch> string_match(const matcher::StringMatcher& proto,
                                                 const Context& context, const Path& path) {
  router::StringMatch out;
  const bool fold = proto.ignore_case();
  switch (proto.match_pattern_case()) {
    case matcher::StringMatcher::kExact:
      REMORA_TRY(set_text(StringKind::Exact, proto.exact(), fold, &out, path.field("exact")));
      break;
    case matcher::StringMatcher::kPrefix:
      REMORA_TRY(set_text(StringKind::Prefix, proto.prefix(), fold, &out, path.field("prefix")));
      break;
    case matcher::StringMatcher::kSuffix:
      REMORA_TRY(set_text(StringKind::Suffix, proto.suffix(), fold, &out, path.field("suffix")));
      break;
    case matcher::StringMatcher::kContains:
      REMORA_TRY(
          set_text(StringKind::Contains, proto.contains(), fold, &out, path.field("contains")));
      break;
    case matcher::StringMatcher::kSafeRegex:
      if (fold) return path.field("ignore_case").error("has no effect on safe_regex");
      REMORA_TRY(set_regex(proto.safe_regex(), context, &out, path.field("safe_regex")));
      break;
    case matcher::StringMatcher::MATCH_PATTERN_NOT_SET:
      return path.error("has no pattern");
  }
  return out;
}

absl::StatusOr<router::HeaderMatch> header_match(const route::HeaderMatcher& proto,
                                                 const Context& context, const Path& path) {
  REMORA_TRY(check_header_name(proto.name(), path.field("name")));
  router::HeaderMatch out;
  out.name = request_header_name(proto.name());
  out.id = http::header_id_of(out.name);
  out.joined = joins_in_requests(out.name);
  out.invert = proto.invert_match();
  out.treat_missing_as_empty = proto.treat_missing_header_as_empty();
  REMORA_TRY(set_header_specifier(proto, context, &out, path));
  return out;
}

absl::StatusOr<router::QueryMatch> query_match(const route::QueryParameterMatcher& proto,
                                               const Context& context, const Path& path) {
  if (proto.name().empty()) return path.field("name").error("is required");
  if (proto.name().size() > kMaxQueryNameBytes) return path.field("name").error("is too long");
  router::QueryMatch out;
  out.name = proto.name();
  if (proto.has_string_match()) {
    REMORA_TRY_ASSIGN(out.string,
                      string_match(proto.string_match(), context, path.field("string_match")));
  } else if (proto.query_parameter_match_specifier_case() ==
             route::QueryParameterMatcher::kPresentMatch) {
    out.present = proto.present_match();
  }
  return out;
}

absl::StatusOr<router::RouteMatch> route_match(const route::RouteMatch& proto,
                                               const Context& context, const Path& path) {
  router::RouteMatch out;
  REMORA_TRY(set_path(proto, context, &out, path));
  if (proto.has_case_sensitive()) out.case_sensitive = proto.case_sensitive().value();
  for (int i = 0; i < proto.headers_size(); ++i) {
    auto match = header_match(proto.headers(i), context, path.at("headers", i));
    if (!match.ok()) return match.status();
    out.headers.push_back(*std::move(match));
  }
  for (int i = 0; i < proto.query_parameters_size(); ++i) {
    auto match = query_match(proto.query_parameters(i), context, path.at("query_parameters", i));
    if (!match.ok()) return match.status();
    out.query.push_back(*std::move(match));
  }
  REMORA_TRY_ASSIGN(out.context, context_match(proto, context, path));
  out.grpc_only = proto.has_grpc();
  if (proto.has_runtime_fraction()) {
    if (!proto.runtime_fraction().has_default_value()) {
      return path.field("runtime_fraction.default_value").error("is required");
    }
    out.fraction_per_million = per_million(proto.runtime_fraction(), context.runtime);
  }
  return out;
}

}  // namespace remora::xds::translate
