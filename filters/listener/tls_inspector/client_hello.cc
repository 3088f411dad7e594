// From bytes to a ClientHello; see the header.
#include "filters/listener/tls_inspector/client_hello.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <bitset>
#include <utility>

namespace remora::filters {
namespace {

constexpr size_t kRecordHeaderBytes = 5;
constexpr size_t kMaxRecordBytes = 16384;
constexpr size_t kMaxRecordExpansion = 256;  // what encryption may add; a longer record is none
constexpr size_t kMessageHeaderBytes = 4;
constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHelloMessage = 1;
constexpr uint8_t kMajorVersion = 3;
constexpr size_t kRandomBytes = 32;
constexpr size_t kMaxSessionIdBytes = 32;
constexpr size_t kMaxServerNameBytes = 255;
/// More than any client offers: whoever names more of them is not listened to.
constexpr size_t kMaxApplicationProtocols = 128;

uint8_t byte_at(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

/// Exactly one name, of type host_name.
std::optional<std::string> parse_server_name(std::string_view content) {
  Bytes extension(content);
  const auto list = extension.vector16();
  if (!list || !extension.empty()) return std::nullopt;
  Bytes names(*list);
  const auto type = names.u8();
  const auto name = names.vector16();
  if (!type || *type != 0 || !name || !names.empty()) return std::nullopt;
  const bool fits = !name->empty() && name->size() <= kMaxServerNameBytes;
  if (!fits || name->find('\0') != std::string_view::npos) return std::nullopt;
  return absl::AsciiStrToLower({name->data(), name->size()});
}

/// Malformed ones count as none: the handshake will refuse them.
std::vector<std::string> parse_application_protocols(std::string_view content) {
  std::vector<std::string> out;
  Bytes extension(content);
  const auto list = extension.vector16();
  if (!list || !extension.empty()) return {};
  Bytes names(*list);
  while (!names.empty()) {
    const auto name = names.vector8();
    if (!name || name->empty() || out.size() == kMaxApplicationProtocols) return {};
    out.emplace_back(*name);
  }
  return out;
}

/// Well formed, and nothing said twice that two readers could take differently.
bool extensions_are_sound(std::string_view bytes) {
  std::bitset<size_t{1} << 16> seen;
  Bytes extensions(bytes);
  while (!extensions.empty()) {
    const auto extension = take_extension(extensions);
    if (!extension || seen[extension->type]) return false;
    seen.set(extension->type);
  }
  return true;
}

}  // namespace

// --- bytes ---

std::optional<std::string_view> Bytes::take(size_t count) {
  if (count > rest_.size()) return std::nullopt;
  const std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

std::optional<uint8_t> Bytes::u8() {
  const auto taken = take(1);
  if (!taken) return std::nullopt;
  return byte_at(*taken, 0);
}

std::optional<uint16_t> Bytes::u16() {
  const auto taken = take(2);
  if (!taken) return std::nullopt;
  return static_cast<uint16_t>(byte_at(*taken, 0) << 8 | byte_at(*taken, 1));
}

std::optional<std::string_view> Bytes::vector8() {
  const auto length = u8();
  return length ? take(*length) : std::nullopt;
}

std::optional<std::string_view> Bytes::vector16() {
  const auto length = u16();
  return length ? take(*length) : std::nullopt;
}

// --- the message ---

std::optional<Extension> take_extension(Bytes& extensions) {
  const auto type = extensions.u16();
  const auto content = extensions.vector16();
  if (!type || !content) return std::nullopt;
  return Extension{*type, *content};
}

std::optional<std::string_view> ClientHello::extension(uint16_t type) const {
  Bytes rest(extensions);
  while (const auto found = take_extension(rest)) {
    if (found->type == type) return found->content;
  }
  return std::nullopt;
}

std::optional<ClientHello> parse_client_hello(std::string_view message) {
  Bytes bytes(message);
  const auto version = bytes.u16();
  const auto random = bytes.take(kRandomBytes);
  const auto session_id = bytes.vector8();
  const auto cipher_suites = bytes.vector16();
  const auto compression_methods = bytes.vector8();
  if (!version || !random || !session_id || !cipher_suites || !compression_methods) {
    return std::nullopt;
  }
  if (session_id->size() > kMaxSessionIdBytes || compression_methods->empty()) return std::nullopt;
  if (cipher_suites->empty() || cipher_suites->size() % 2 != 0) return std::nullopt;
  ClientHello hello;
  hello.version = *version;
  hello.cipher_suites = *cipher_suites;
  if (!bytes.empty()) {
    const auto extensions = bytes.vector16();
    if (!extensions || !bytes.empty() || !extensions_are_sound(*extensions)) return std::nullopt;
    hello.extensions = *extensions;
  }
  if (const auto content = hello.extension(tls_extension::kServerName)) {
    auto name = parse_server_name(*content);
    if (!name) return std::nullopt;
    hello.server_name = *std::move(name);
  }
  if (const auto content = hello.extension(tls_extension::kApplicationProtocols)) {
    hello.application_protocols = parse_application_protocols(*content);
  }
  return hello;
}

// --- records ---

ClientHelloReader::Result ClientHelloReader::read(std::string_view bytes) {
  for (;;) {
    Record record;
    if (const auto answer = read_header(bytes, record)) {
      return *answer == Result::NotTls ? not_tls(bytes) : *answer;
    }
    if (const auto answer = read_fragment(record)) {
      return *answer == Result::NotTls ? not_tls(bytes) : *answer;
    }
    gathered_.append(record.fragment);
    record_ += kRecordHeaderBytes + record.length;
  }
}

std::optional<ClientHelloReader::Result> ClientHelloReader::read_header(std::string_view bytes,
                                                                        Record& record) {
  const std::string_view rest = bytes.substr(std::min(record_, bytes.size()));
  // Who speaks another protocol is known by the first byte, and is not made to wait for five.
  if (!rest.empty() && byte_at(rest, 0) != kHandshakeRecord) return Result::NotTls;
  if (rest.size() > 1 && byte_at(rest, 1) != kMajorVersion) return Result::NotTls;
  if (rest.size() < kRecordHeaderBytes) return need(record_ + kRecordHeaderBytes);
  record.length = static_cast<size_t>(byte_at(rest, 3)) << 8 | byte_at(rest, 4);
  if (record.length > kMaxRecordBytes + kMaxRecordExpansion) return Result::NotTls;
  if (record.length > kMaxRecordBytes) return too_large(record_ + kRecordHeaderBytes);
  record.fragment = rest.substr(kRecordHeaderBytes, record.length);
  return std::nullopt;
}

/// No answer: the record is complete and the message goes on in the next one.
std::optional<ClientHelloReader::Result> ClientHelloReader::read_fragment(const Record& record) {
  const size_t content = record_ + kRecordHeaderBytes;
  const auto message_byte = [&](size_t at) {
    return at < gathered_.size() ? byte_at(gathered_, at)
                                 : byte_at(record.fragment, at - gathered_.size());
  };
  const size_t have = gathered_.size() + record.fragment.size();
  if (have > 0 && message_byte(0) != kClientHelloMessage) return Result::NotTls;
  const bool complete = record.fragment.size() == record.length;
  if (have < kMessageHeaderBytes) {
    if (complete) return std::nullopt;
    return need(content + std::min(record.length, kMessageHeaderBytes - gathered_.size()));
  }
  const size_t total =
      kMessageHeaderBytes + (static_cast<size_t>(message_byte(1)) << 16 |
                             static_cast<size_t>(message_byte(2)) << 8 | message_byte(3));
  const size_t missing = total - gathered_.size();
  if (missing < record.length) return Result::NotTls;  // nothing may follow before the answer
  if (missing > record.length) {
    // All the rest in one record is the least that can come.
    const size_t least = content + record.length + kRecordHeaderBytes + (missing - record.length);
    if (least > max_bytes_) return too_large(content + record.fragment.size());
    if (complete) return std::nullopt;
    return need(least);
  }
  if (content + missing > max_bytes_) return too_large(content + record.fragment.size());
  if (!complete) return need(content + missing);
  looked_at_ = content + missing;
  if (gathered_.empty()) return parse(record.fragment);
  gathered_.append(record.fragment);
  return parse(gathered_);
}

ClientHelloReader::Result ClientHelloReader::parse(std::string_view message) {
  auto hello = parse_client_hello(message.substr(kMessageHeaderBytes));
  if (!hello) return Result::NotTls;
  hello_ = *std::move(hello);
  return Result::Found;
}

ClientHelloReader::Result ClientHelloReader::need(size_t bytes) {
  if (bytes > max_bytes_) return too_large(record_);
  wanted_ = bytes;
  return Result::NeedMore;
}

ClientHelloReader::Result ClientHelloReader::too_large(size_t looked_at) {
  looked_at_ = looked_at;
  return Result::TooLarge;
}

ClientHelloReader::Result ClientHelloReader::not_tls(std::string_view bytes) {
  looked_at_ = std::max(looked_at_, std::min(bytes.size(), record_ + kRecordHeaderBytes));
  return Result::NotTls;
}

}  // namespace remora::filters
