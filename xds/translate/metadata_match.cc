#include "xds/translate/metadata_match.h"

#include "xds/translate/match.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace matcher = envoy::type::matcher::v3;
using router::ValueMatch;

absl::StatusOr<ValueMatch> value_match(const matcher::ValueMatcher& proto, const Context& context,
                                       const Path& path);

absl::StatusOr<ValueMatch> double_match(const matcher::DoubleMatcher& proto, const Path& path) {
  switch (proto.match_pattern_case()) {
    case matcher::DoubleMatcher::kExact:
      return ValueMatch{proto.exact()};
    case matcher::DoubleMatcher::kRange:
      return ValueMatch{ValueMatch::Range{proto.range().start(), proto.range().end()}};
    case matcher::DoubleMatcher::MATCH_PATTERN_NOT_SET:
      break;
  }
  return path.error("has no pattern");
}

absl::StatusOr<ValueMatch> list_match(const matcher::ListMatcher& proto, const Context& context,
                                      const Path& path) {
  if (!proto.has_one_of()) return path.field("one_of").error("is required");
  auto element = value_match(proto.one_of(), context, path.field("one_of"));
  if (!element.ok()) return element;
  ValueMatch::OneOfList out;
  out.element.push_back(*std::move(element));
  return ValueMatch{std::move(out)};
}

absl::StatusOr<ValueMatch> or_match(const matcher::OrMatcher& proto, const Context& context,
                                    const Path& path) {
  if (proto.value_matchers_size() < 2) {
    return path.field("value_matchers").error("must have two elements or more");
  }
  ValueMatch::Any out;
  for (int i = 0; i < proto.value_matchers_size(); ++i) {
    auto one = value_match(proto.value_matchers(i), context, path.at("value_matchers", i));
    if (!one.ok()) return one;
    out.of.push_back(*std::move(one));
  }
  return ValueMatch{std::move(out)};
}

absl::StatusOr<ValueMatch> value_match(const matcher::ValueMatcher& proto, const Context& context,
                                       const Path& path) {
  using Matcher = matcher::ValueMatcher;
  switch (proto.match_pattern_case()) {
    case Matcher::kNullMatch:
      return ValueMatch{ValueMatch::Null{}};
    case Matcher::kDoubleMatch:
      return double_match(proto.double_match(), path.field("double_match"));
    case Matcher::kStringMatch: {
      auto text = string_match(proto.string_match(), context, path.field("string_match"));
      if (!text.ok()) return text.status();
      return ValueMatch{*std::move(text)};
    }
    case Matcher::kBoolMatch:
      return ValueMatch{proto.bool_match()};
    case Matcher::kPresentMatch:
      return ValueMatch{ValueMatch::Present{proto.present_match()}};
    case Matcher::kListMatch:
      return list_match(proto.list_match(), context, path.field("list_match"));
    case Matcher::kOrMatch:
      return or_match(proto.or_match(), context, path.field("or_match"));
    case Matcher::MATCH_PATTERN_NOT_SET:
      break;
  }
  return path.error("has no pattern that is supported");
}

}  // namespace

absl::StatusOr<router::MetadataMatch> metadata_match(const matcher::MetadataMatcher& proto,
                                                     const Context& context, const Path& path) {
  router::MetadataMatch out;
  out.filter = proto.filter();
  out.invert = proto.invert();
  if (out.filter.empty()) return path.field("filter").error("is required");
  if (proto.path_size() == 0) return path.field("path").error("must not be empty");
  for (int i = 0; i < proto.path_size(); ++i) {
    const Path here = path.at("path", i);
    if (proto.path(i).key().empty()) return here.field("key").error("is required");
    out.path.push_back(proto.path(i).key());
  }
  if (!proto.has_value()) return path.field("value").error("is required");
  REMORA_TRY_ASSIGN(out.value, value_match(proto.value(), context, path.field("value")));
  return out;
}

}  // namespace remora::xds::translate
