// What a route asks of the hosts that serve it: for each key of name space envoy.lb the value that
// a host's metadata must have. Made with the route, or for a request that has such dynamic
// metadata. Immutable; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/metadata.h"

namespace remora::upstream {

/// The name space of metadata by which hosts are chosen.
inline constexpr std::string_view kBalancingMetadata = "envoy.lb";

/// The part of an endpoint's metadata that subsets are made by.
struct HostLabels {
  MetadataStruct fields;
};

/// Whether `labels`, which may be null, have all of `wanted`; with `list_as_any` a list has each of
/// its elements.
bool has_all(const HostLabels* labels, const MetadataStruct& wanted, bool list_as_any);

class MetadataCriteria {
 public:
  explicit MetadataCriteria(MetadataStruct fields);

  const MetadataStruct& fields() const { return fields_; }
  /// Equal texts ask for the same.
  const std::string& text() const { return text_; }
  /// The same for the keys alone.
  const std::string& keys() const { return keys_; }
  /// What to ask for, one after the other, by the key fallback_list; empty: there is none.
  std::span<const MetadataCriteria> alternatives() const { return alternatives_; }

  /// With `more` besides, which has the last word.
  MetadataCriteria merged(const MetadataStruct& more) const;
  /// Only what is asked under `keys`.
  MetadataCriteria only(std::span<const std::string> keys) const;

 private:
  void add_alternatives();

  MetadataStruct fields_;
  std::string text_;
  std::string keys_;
  std::vector<MetadataCriteria> alternatives_;
};

/// MetadataCriteria::keys() of criteria with such keys, which are sorted.
std::string keys_text(std::span<const std::string> keys);

}  // namespace remora::upstream
