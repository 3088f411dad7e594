// Which HTTP a connection begins with: the HTTP/2 preface, or a request line. More is taken for
// HTTP here than the codec will serve: a line that another parser could take for a request must not
// get round the filters for requests. A reader belongs to one accepted socket. Documents: RFC 9113
// section 3.4, RFC 9112 section 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace remora::filters {

class FirstLineReader {
 public:
  enum class Result : uint8_t { NeedMore, Http10, Http11, Http2, NotHttp };

  /// `bytes`: the connection's, from the first one on; more of them with each call.
  Result read(std::string_view bytes);

 private:
  bool method_goes_on(std::string_view bytes);

  size_t scanned_ = 0;       // no line end before it
  size_t method_bytes_ = 0;  // checked
  bool method_ended_ = false;
};

}  // namespace remora::filters
