#include "xds/translate/path.h"

#include <absl/strings/str_cat.h>

namespace remora::xds::translate {
namespace {

absl::string_view view(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

void Path::append_to(std::string* out) const {
  if (parent_ != nullptr) parent_->append_to(out);
  if (name_.empty()) return;
  if (!out->empty()) out->push_back('.');
  out->append(name_);
  if (kind_ == Kind::Element) absl::StrAppend(out, "[", index_, "]");
  if (kind_ == Kind::Entry) absl::StrAppend(out, "[\"", view(key_), "\"]");
}

std::string Path::str() const {
  std::string out;
  append_to(&out);
  return out;
}

absl::Status Path::error(std::string_view reason) const {
  const std::string path = str();
  if (path.empty()) return absl::InvalidArgumentError(view(reason));
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", view(reason)));
}

absl::Status prefixed(std::string_view path, const absl::Status& status) {
  if (status.ok() || path.empty()) return status;
  const std::string_view said(status.message().data(), status.message().size());
  if (said.starts_with(path)) return status;  // came with the whole path
  return absl::Status(status.code(), absl::StrCat(view(path), ".", status.message()));
}

}  // namespace remora::xds::translate
