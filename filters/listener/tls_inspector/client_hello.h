// Reads the ClientHello that a TLS connection begins with, without a TLS library: records, the
// handshake message in them, and the parts of it that choose a filter chain or make a fingerprint.
// Plain values; a reader belongs to one accepted socket. Documents: RFC 8446 sections 4.1.2
// and 5.1, RFC 6066 section 3, RFC 7301.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace remora::filters {

struct ClientHello {
  // Views into the message that it was read from.
  uint16_t version = 0;            // legacy_version
  std::string_view cipher_suites;  // two bytes each
  std::string_view extensions;     // type, length and content of each; well formed

  std::string server_name;                         // lower case; empty: none
  std::vector<std::string> application_protocols;  // empty: none, or none to be understood

  /// Null: there is no extension of that type.
  std::optional<std::string_view> extension(uint16_t type) const;
};

namespace tls_extension {
inline constexpr uint16_t kServerName = 0;
inline constexpr uint16_t kSupportedGroups = 10;
inline constexpr uint16_t kEcPointFormats = 11;
inline constexpr uint16_t kSignatureAlgorithms = 13;
inline constexpr uint16_t kApplicationProtocols = 16;
inline constexpr uint16_t kSupportedVersions = 43;
}  // namespace tls_extension

/// Values that clients send at random so that servers learn to ignore them (RFC 8701).
constexpr bool is_grease(uint16_t value) {
  return (value & 0x0f0f) == 0x0a0a && (value >> 8) == (value & 0xff);
}

/// Bytes that are taken off the front; nothing is ever taken beyond the end.
class Bytes {
 public:
  Bytes() = default;
  explicit Bytes(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  std::optional<uint8_t> u8();
  std::optional<uint16_t> u16();
  std::optional<std::string_view> take(size_t count);
  /// A length of one byte, or of two, and as many bytes behind it.
  std::optional<std::string_view> vector8();
  std::optional<std::string_view> vector16();

 private:
  std::string_view rest_;
};

struct Extension {
  uint16_t type;
  std::string_view content;
};
/// Nothing when what is left does not begin with a whole one.
std::optional<Extension> take_extension(Bytes& extensions);

/// `message`: the body of a ClientHello, without its type and length. Nothing: malformed.
std::optional<ClientHello> parse_client_hello(std::string_view message);

/// Finds the message in the first bytes of a connection. It is shown them again and again, each
/// time with more behind, and goes on where it stopped: a hello in one-byte pieces costs little
/// more than one in one piece.
class ClientHelloReader {
 public:
  enum class Result : uint8_t {
    NeedMore,
    Found,
    NotTls,    // no ClientHello, or a malformed one
    TooLarge,  // one that cannot fit into max_bytes
  };

  explicit ClientHelloReader(size_t max_bytes) : max_bytes_(max_bytes) {}

  /// `bytes`: the connection's, from the first one on. Not to be called again once it has found an
  /// answer.
  Result read(std::string_view bytes);
  /// After NeedMore: how many bytes are needed at least before read() can say more.
  size_t wanted() const { return wanted_; }
  /// After an answer: how many bytes led to it.
  size_t looked_at() const { return looked_at_; }
  /// After Found; good as long as the bytes of that call and the reader are.
  ClientHello& hello() { return hello_; }

 private:
  struct Record {
    size_t length = 0;          // of its content
    std::string_view fragment;  // what has come of it
  };

  std::optional<Result> read_header(std::string_view bytes, Record& record);
  std::optional<Result> read_fragment(const Record& record);
  Result parse(std::string_view message);
  Result need(size_t bytes);
  Result too_large(size_t looked_at);
  Result not_tls(std::string_view bytes);

  const size_t max_bytes_;
  size_t wanted_ = 1;
  size_t looked_at_ = 0;
  size_t record_ = 0;     // where the record begins that is being read
  std::string gathered_;  // what records before it had of the message, type and length included
  ClientHello hello_;
};

}  // namespace remora::filters
