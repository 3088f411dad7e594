#include "proxy/upstream/metadata_criteria.h"

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
