// Where in a resource a value sits, for messages: "filter_chains[0].filters[1].typed_config". A
// path is a chain of nodes on the stack, so following one costs nothing until a message is wanted.
// Any thread.
#pragma once

#include <absl/status/status.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace remora::xds::translate {

class Path {
 public:
  Path() = default;
  /// Starts at a path that is text already.
  explicit Path(std::string_view prefix) : name_(prefix) {}

  // A child refers to its parent, so the parent must have a name of its own.
  Path field(std::string_view name) const& { return Path(this, name, Kind::Field); }
  Path field(std::string_view name) const&& = delete;
  /// One element of a repeated field.
  Path at(std::string_view name, size_t index) const& {
    Path path(this, name, Kind::Element);
    path.index_ = index;
    return path;
  }
  Path at(std::string_view name, size_t index) const&& = delete;
  /// One entry of a map.
  Path entry(std::string_view name, std::string_view key) const& {
    Path path(this, name, Kind::Entry);
    path.key_ = key;
    return path;
  }
  Path entry(std::string_view name, std::string_view key) const&& = delete;

  std::string str() const;

  /// "PATH: REASON", or the reason alone at the root.
  absl::Status error(std::string_view reason) const;

 private:
  enum class Kind : unsigned char { Field, Element, Entry };

  Path(const Path* parent, std::string_view name, Kind kind)
      : parent_(parent), name_(name), kind_(kind) {}
  void append_to(std::string* out) const;

  const Path* parent_ = nullptr;
  std::string_view name_;
  std::string_view key_;
  size_t index_ = 0;
  Kind kind_ = Kind::Field;
};

/// Puts a path before an error whose text starts with a path relative to it: "a.b" and "c: bad"
/// give "a.b.c: bad".
absl::Status prefixed(std::string_view path, const absl::Status& status);

}  // namespace remora::xds::translate
