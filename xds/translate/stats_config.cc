#include "xds/translate/stats_config.h"

#include <absl/strings/str_cat.h>
#include <re2/re2.h>

#include <algorithm>
#include <cmath>

#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace metrics = envoy::config::metrics::v3;
using envoy::type::matcher::v3::StringMatcher;
using stats::StatsConfig;
using stats::StringPattern;

absl::StatusOr<StringPattern> pattern(const StringMatcher& proto, const Path& path) {
  using Kind = StringPattern::Kind;
  Kind kind = Kind::Exact;
  std::string_view text;
  switch (proto.match_pattern_case()) {
    case StringMatcher::kExact:
      text = proto.exact();
      break;
    case StringMatcher::kPrefix:
      kind = Kind::Prefix;
      text = proto.prefix();
      break;
    case StringMatcher::kSuffix:
      kind = Kind::Suffix;
      text = proto.suffix();
      break;
    case StringMatcher::kContains:
      kind = Kind::Contains;
      text = proto.contains();
      break;
    case StringMatcher::kSafeRegex:
      kind = Kind::Regex;
      text = proto.safe_regex().regex();
      break;
    case StringMatcher::MATCH_PATTERN_NOT_SET:
      return path.error("has no pattern");
  }
  if (text.empty() && kind != Kind::Exact) return path.error("must not be empty");
  auto made = StringPattern::make(kind, text, proto.ignore_case());
  if (!made.ok()) return path.error(std::string(made.status().message()));
  return made;
}

absl::StatusOr<StatsConfig::TagRule> tag_rule(const metrics::TagSpecifier& proto,
                                              const Path& path) {
  StatsConfig::TagRule out;
  out.name = proto.tag_name();
  if (out.name.empty()) return path.field("tag_name").error("is required");
  switch (proto.tag_value_case()) {
    case metrics::TagSpecifier::kRegex: {
      out.kind = StatsConfig::TagRule::Kind::Regex;
      out.value = proto.regex();
      if (out.value.empty()) {  // as good as not set
        out.kind = StatsConfig::TagRule::Kind::Default;
        return out;
      }
      const re2::RE2 compiled(out.value, re2::RE2::Quiet);
      if (!compiled.ok()) {
        return path.field("regex").error(
            absl::StrCat("invalid regular expression: ", compiled.error()));
      }
      if (compiled.NumberOfCapturingGroups() < 1) {
        return path.field("regex").error("needs a group in parentheses");
      }
      return out;
    }
    case metrics::TagSpecifier::kFixedValue:
      out.kind = StatsConfig::TagRule::Kind::Fixed;
      out.value = proto.fixed_value();
      return out;
    case metrics::TagSpecifier::TAG_VALUE_NOT_SET:
      return out;
  }
  return out;
}

absl::Status read_selection(const metrics::StatsMatcher& proto, StatsConfig* out,
                            const Path& path) {
  const envoy::type::matcher::v3::ListStringMatcher* list = nullptr;
  std::string_view name;
  switch (proto.stats_matcher_case()) {
    case metrics::StatsMatcher::kRejectAll:
      if (proto.reject_all()) out->selection = StatsConfig::Selection::None;
      return absl::OkStatus();
    case metrics::StatsMatcher::kExclusionList:
      out->selection = StatsConfig::Selection::Exclude;
      list = &proto.exclusion_list();
      name = "exclusion_list";
      break;
    case metrics::StatsMatcher::kInclusionList:
      out->selection = StatsConfig::Selection::Include;
      list = &proto.inclusion_list();
      name = "inclusion_list";
      break;
    case metrics::StatsMatcher::STATS_MATCHER_NOT_SET:
      return path.error("has no list");
  }
  const Path here = path.field(name);
  if (list->patterns_size() == 0) return here.field("patterns").error("must not be empty");
  for (int i = 0; i < list->patterns_size(); ++i) {
    auto made = pattern(list->patterns(i), here.at("patterns", i));
    if (!made.ok()) return made.status();
    out->patterns.push_back(*std::move(made));
  }
  return absl::OkStatus();
}

absl::StatusOr<StatsConfig::Buckets> buckets(const metrics::HistogramBucketSettings& proto,
                                             const Path& path) {
  StatsConfig::Buckets out;
  REMORA_TRY_ASSIGN(out.match, pattern(proto.match(), path.field("match")));
  out.bounds.assign(proto.buckets().begin(), proto.buckets().end());
  if (out.bounds.empty()) return path.field("buckets").error("must not be empty");
  if (std::ranges::any_of(out.bounds, [](double b) { return !(b > 0) || std::isinf(b); })) {
    return path.field("buckets").error("must be greater than 0");
  }
  std::ranges::sort(out.bounds);
  if (std::ranges::adjacent_find(out.bounds) != out.bounds.end()) {
    return path.field("buckets").error("must be unique");
  }
  return out;
}

}  // namespace

absl::StatusOr<StatsConfig> stats_config(const metrics::StatsConfig& proto, const Path& path) {
  StatsConfig out;
  if (proto.has_use_all_default_tags()) {
    out.use_all_default_tags = proto.use_all_default_tags().value();
  }
  for (int i = 0; i < proto.stats_tags_size(); ++i) {
    auto rule = tag_rule(proto.stats_tags(i), path.at("stats_tags", i));
    if (!rule.ok()) return rule.status();
    out.tags.push_back(*std::move(rule));
  }
  if (proto.has_stats_matcher()) {
    REMORA_TRY(read_selection(proto.stats_matcher(), &out, path.field("stats_matcher")));
  }
  for (int i = 0; i < proto.histogram_bucket_settings_size(); ++i) {
    auto settings =
        buckets(proto.histogram_bucket_settings(i), path.at("histogram_bucket_settings", i));
    if (!settings.ok()) return settings.status();
    out.buckets.push_back(*std::move(settings));
  }
  return out;
}

}  // namespace remora::xds::translate
