#include "proxy/base/metadata.h"

#include <charconv>
#include <cmath>

namespace remora {
namespace {

void append_string(std::string_view text, std::string& out) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20) {
      out += c;
    } else {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  out += '"';
}

void append_number(double number, std::string& out) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  char text[32];
  auto end = std::to_chars(text, text + sizeof text, number).ptr;
  out.append(text, end);
}

void merge_into(MetadataStruct& into, const MetadataStruct& from) {
  for (const auto& [key, value] : from) {
    auto [at, added] = into.try_emplace(key, value);
    if (added) continue;
    if (at->second.fields() != nullptr && value.fields() != nullptr) {
      MetadataStruct merged = *at->second.fields();
      merge_into(merged, *value.fields());
      at->second = std::move(merged);
    } else if (at->second.list() != nullptr && value.list() != nullptr) {
      MetadataList joined = *at->second.list();
      joined.insert(joined.end(), value.list()->begin(), value.list()->end());
      at->second = std::move(joined);
    } else {
      at->second = value;
    }
  }
}

}  // namespace

void append_json(const MetadataStruct& fields, std::string& out) {
  out += '{';
  bool first = true;
  for (const auto& [key, value] : fields) {
    if (!first) out += ',';
    first = false;
    append_string(key, out);
    out += ':';
    append_json(value, out);
  }
  out += '}';
}

void append_json(const MetadataValue& value, std::string& out) {
  if (value.number() != nullptr) {
    append_number(*value.number(), out);
  } else if (value.truth() != nullptr) {
    out += *value.truth() ? "true" : "false";
  } else if (value.text() != nullptr) {
    append_string(*value.text(), out);
  } else if (value.fields() != nullptr) {
    append_json(*value.fields(), out);
  } else if (value.list() != nullptr) {
    out += '[';
    for (size_t i = 0; i < value.list()->size(); ++i) {
      if (i > 0) out += ',';
      append_json((*value.list())[i], out);
    }
    out += ']';
  } else {
    out += "null";
  }
}

const MetadataStruct* Metadata::find(std::string_view filter) const {
  if (filters_ == nullptr) return nullptr;
  auto at = filters_->find(filter);
  return at == filters_->end() ? nullptr : &at->second;
}

const MetadataValue* Metadata::find(std::string_view filter,
                                    std::span<const std::string> path) const {
  const MetadataStruct* fields = find(filter);
  const MetadataValue* value = nullptr;
  for (const std::string& key : path) {
    if (fields == nullptr) return nullptr;
    auto at = fields->find(key);
    if (at == fields->end()) return nullptr;
    value = &at->second;
    fields = value->fields();
  }
  return value;
}

MetadataStruct& Metadata::at(std::string_view filter) {
  if (filters_ == nullptr) {
    filters_ = std::make_unique<std::map<std::string, MetadataStruct, std::less<>>>();
  }
  return filters_->try_emplace(std::string(filter)).first->second;
}

void Metadata::merge(std::string_view filter, const MetadataStruct& fields) {
  merge_into(at(filter), fields);
}

}  // namespace remora
