#include "proxy/upstream/metadata_criteria.h"

#include <algorithm>
#include <utility>

namespace remora::upstream {
namespace {

constexpr std::string_view kFallbackList = "fallback_list";

std::string keys_of(const MetadataStruct& fields) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : fields) keys.push_back(key);
  return keys_text(keys);
}

}  // namespace

bool has_all(const HostLabels* labels, const MetadataStruct& wanted, bool list_as_any) {
  if (wanted.empty()) return true;
  if (labels == nullptr) return false;
  return std::ranges::all_of(wanted, [&](const auto& field) {
    const auto found = labels->fields.find(field.first);
    if (found == labels->fields.end()) return false;
    const MetadataList* list = list_as_any ? found->second.list() : nullptr;
    if (list == nullptr) return found->second == field.second;
    return std::ranges::find(*list, field.second) != list->end();
  });
}

std::string keys_text(std::span<const std::string> keys) {
  std::string text;
  append_json(MetadataValue(MetadataList(keys.begin(), keys.end())), text);
  return text;
}

MetadataCriteria::MetadataCriteria(MetadataStruct fields)
    : fields_(std::move(fields)), keys_(keys_of(fields_)) {
  append_json(fields_, text_);
  add_alternatives();
}

void MetadataCriteria::add_alternatives() {
  const auto found = fields_.find(kFallbackList);
  if (found == fields_.end()) return;
  MetadataStruct base = fields_;
  base.erase(std::string(kFallbackList));
  const MetadataCriteria plain(std::move(base));
  const MetadataList* list = found->second.list();
  if (list == nullptr || list->empty()) {
    alternatives_.push_back(plain);
    return;
  }
  for (const MetadataValue& entry : *list) {
    alternatives_.push_back(entry.fields() == nullptr ? plain : plain.merged(*entry.fields()));
  }
}

MetadataCriteria MetadataCriteria::merged(const MetadataStruct& more) const {
  MetadataStruct fields = more;
  fields.insert(fields_.begin(), fields_.end());
  return MetadataCriteria(std::move(fields));
}

MetadataCriteria MetadataCriteria::only(std::span<const std::string> keys) const {
  MetadataStruct fields;
  for (const std::string& key : keys) {
    if (const auto found = fields_.find(key); found != fields_.end()) fields.insert(*found);
  }
  return MetadataCriteria(std::move(fields));
}

}  // namespace remora::upstream
