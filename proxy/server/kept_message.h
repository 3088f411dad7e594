// A message that is kept only to be shown again by /config_dump: as its bytes, which take a tenth
// of the memory of a message taken apart.
#pragma once

#include <google/protobuf/any.pb.h>

#include <string>

namespace remora::server {

template <typename Message>
class Kept {
 public:
  Kept() = default;
  explicit Kept(const Message& message) : bytes_(message.SerializeAsString()) {
    bytes_.shrink_to_fit();
  }

  Message get() const {
    Message message;
    message.ParseFromString(bytes_);
    return message;
  }
  void pack_into(google::protobuf::Any* any) const {
    any->set_type_url("type.googleapis.com/" + Message::descriptor()->full_name());
    any->set_value(bytes_);
  }

 private:
  std::string bytes_;
};

}  // namespace remora::server
