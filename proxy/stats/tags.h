// Tags taken out of metric names: "cluster.foo.upstream_rq_200" is cluster.upstream_rq with
// envoy.cluster_name=foo and envoy.response_code=200. Envoy's default rules are code; rules of the
// bootstrap are regular expressions. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/stats/config.h"

namespace remora::stats {

struct Tag {
  std::string name;
  std::string value;
  bool operator==(const Tag&) const = default;
};

/// A metric name with its tags taken out.
struct TaggedName {
  std::string base;
  std::vector<Tag> tags;
  bool operator==(const TaggedName&) const = default;
};

/// Envoy's default rules, on a whole metric name.
TaggedName default_tags(std::string_view name);

class TagRules {
 public:
  static absl::StatusOr<TagRules> make(const StatsConfig& config);
  ~TagRules();
  TagRules(TagRules&&) noexcept;
  TagRules& operator=(TagRules&&) noexcept;

  /// Fixed tags included.
  TaggedName apply(std::string_view name) const;
  /// Whether only Envoy's default rules apply, which is quick enough to repeat at each scrape.
  bool only_defaults() const { return rules_.empty() && defaults_; }
  const std::vector<Tag>& fixed() const { return fixed_; }

 private:
  struct Rule;
  TagRules();

  bool defaults_ = true;
  std::vector<Rule> rules_;
  std::vector<Tag> fixed_;
};

}  // namespace remora::stats
