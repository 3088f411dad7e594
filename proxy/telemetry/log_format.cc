#include "proxy/telemetry/log_format.h"

#include <absl/strings/str_cat.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

namespace remora::telemetry {

namespace {

using Pieces = std::vector<LogFormat::Piece>;

bool is_name_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// A command behind its '%': "NAME%", "NAME(argument)%", "NAME(argument):length%", "NAME:length%".
struct Source {
  std::string_view name;
  std::optional<std::string_view> argument;
  std::optional<size_t> max_length;
  size_t size = 0;  // closing '%' included
};

absl::StatusOr<Source> read_command(std::string_view rest) {
  Source out;
  size_t at = 0;
  while (at < rest.size() && is_name_character(rest[at])) ++at;
  out.name = rest.substr(0, at);
  if (out.name.empty()) return absl::InvalidArgumentError("no command name");
  if (at < rest.size() && rest[at] == '(') {
    size_t close = rest.find(')', at);
    if (close == std::string_view::npos)
      return absl::InvalidArgumentError("the parenthesis is not closed");
    out.argument = rest.substr(at + 1, close - at - 1);
    at = close + 1;
  }
  if (at < rest.size() && rest[at] == ':') {
    size_t length = 0;
    auto [end, error] = std::from_chars(rest.data() + at + 1, rest.data() + rest.size(), length);
    if (error != std::errc()) return absl::InvalidArgumentError("the length is not a number");
    out.max_length = length;
    at = static_cast<size_t>(end - rest.data());
  }
  if (at >= rest.size() || rest[at] != '%')
    return absl::InvalidArgumentError("the closing '%' is missing");
  out.size = at + 1;
  return out;
}

absl::StatusOr<Pieces> compile_pieces(std::string_view format) {
  Pieces out;
  std::string literal;
  auto end_literal = [&] {
    if (!literal.empty()) out.push_back({std::move(literal), std::nullopt});
    literal.clear();
  };
  for (size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      literal += format[at++];
      continue;
    }
    if (format.substr(at, 2) == "%%") {
      literal += '%';
      at += 2;
      continue;
    }
    auto refuse = [&](const absl::Status& status) {
      return absl::InvalidArgumentError(absl::StrCat("at position ", at, ": ", status.message()));
    };
    auto source = read_command(format.substr(at + 1));
    if (!source.ok()) return refuse(source.status());
    auto command = LogCommand::compile(source->name, source->argument, source->max_length);
    if (!command.ok()) return refuse(command.status());
    end_literal();
    out.push_back({"", *std::move(command)});
    at += 1 + source->size;
  }
  end_literal();
  return out;
}

void append_pieces(const Pieces& pieces, Missing missing, const http::StreamInfo& info,
                   std::string& out) {
  for (const auto& piece : pieces) {
    if (!piece.command) {
      out += piece.literal;
    } else if (!piece.command->append(info, out) && missing == Missing::Dash) {
      out += '-';
    }
  }
}

/// Stands for itself in a JSON string.
bool plain_in_json(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\';
}

/// Length of the valid UTF-8 sequence at the start of `text`; 0 when it is not one.
size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  size_t length = byte(0) < 0x80   ? 1
                  : byte(0) < 0xc2 ? 0
                  : byte(0) < 0xe0 ? 2
                  : byte(0) < 0xf0 ? 3
                  : byte(0) < 0xf5 ? 4
                                   : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (byte(0) == 0xe0 && byte(1) < 0xa0) return 0;  // longer than needed
  if (byte(0) == 0xed && byte(1) > 0x9f) return 0;  // surrogates
  if (byte(0) == 0xf0 && byte(1) < 0x90) return 0;
  if (byte(0) == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

void append_escaped(std::string_view text, std::string& out) {
  while (!text.empty()) {
    char c = text.front();
    if (plain_in_json(c)) {
      out += c;
      text.remove_prefix(1);
      continue;
    }
    size_t length = utf8_length(text);
    if (length > 1) {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
      continue;
    }
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (length == 1) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
        } else {
          out += "\\ufffd";
        }
    }
    text.remove_prefix(1);
  }
}

/// Escapes what was appended since `start`.
void escape_from(size_t start, std::string& out) {
  if (std::all_of(out.begin() + static_cast<std::ptrdiff_t>(start), out.end(), plain_in_json))
    return;
  std::string text = out.substr(start);
  out.resize(start);
  append_escaped(text, out);
}

}  // namespace

/// A JSON format: a fixed text, one command, a string of pieces, an object or a list.
struct LogFormat::Node {
  enum class Kind : uint8_t { Fixed, Command, String, Object, List } kind = Kind::Fixed;
  std::string fixed;
  Pieces pieces;
  struct Field;
  std::vector<Field> fields;
  std::vector<Node> items;

  static absl::StatusOr<Node> compile(const JsonTemplate& json);
  static absl::StatusOr<Node> compile_string(const std::string& text);

  /// False, and nothing appended, if the value is to be left out.
  bool append(const http::StreamInfo& info, Missing missing, std::string& out) const;
  bool append_command(const http::StreamInfo& info, Missing missing, std::string& out) const;
};

struct LogFormat::Node::Field {
  std::string name;  // in quotes, with ':'
  Node value;
};

absl::StatusOr<LogFormat::Node> LogFormat::Node::compile_string(const std::string& text) {
  auto pieces = compile_pieces(text);
  if (!pieces.ok()) return pieces.status();
  Node node;
  bool no_command = std::none_of(pieces->begin(), pieces->end(),
                                 [](const Piece& p) { return p.command.has_value(); });
  if (no_command) {
    node.fixed = "\"";
    for (const Piece& piece : *pieces) append_escaped(piece.literal, node.fixed);
    node.fixed += '"';
    return node;
  }
  node.kind = pieces->size() == 1 ? Kind::Command : Kind::String;
  node.pieces = *std::move(pieces);
  return node;
}

absl::StatusOr<LogFormat::Node> LogFormat::Node::compile(const JsonTemplate& json) {
  Node node;
  if (std::holds_alternative<std::nullptr_t>(json.value)) {
    node.fixed = "null";
  } else if (const bool* flag = std::get_if<bool>(&json.value)) {
    node.fixed = *flag ? "true" : "false";
  } else if (const double* number = std::get_if<double>(&json.value)) {
    if (!std::isfinite(*number)) return absl::InvalidArgumentError("a number is not finite");
    node.fixed = fmt::format("{}", *number);
    if (node.fixed.ends_with(".0")) node.fixed.resize(node.fixed.size() - 2);
  } else if (const auto* text = std::get_if<std::string>(&json.value)) {
    return compile_string(*text);
  } else if (const auto* fields = std::get_if<JsonTemplate::Fields>(&json.value)) {
    node.kind = Kind::Object;
    auto sorted = *fields;
    std::sort(sorted.begin(), sorted.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [name, value] : sorted) {
      auto compiled = compile(value);
      if (!compiled.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("field '", name, "': ", compiled.status().message()));
      }
      std::string quoted = "\"";
      append_escaped(name, quoted);
      node.fields.push_back({quoted + "\":", *std::move(compiled)});
    }
  } else {
    node.kind = Kind::List;
    for (const auto& item : std::get<JsonTemplate::Items>(json.value)) {
      auto compiled = compile(item);
      if (!compiled.ok()) return compiled.status();
      node.items.push_back(*std::move(compiled));
    }
  }
  return node;
}

bool LogFormat::Node::append_command(const http::StreamInfo& info, Missing missing,
                                     std::string& out) const {
  const LogCommand& command = *pieces.front().command;
  size_t start = out.size();
  const bool quoted = !command.is_number() && !command.is_json();
  if (quoted) out += '"';
  if (!(command.is_json() ? command.append_json(info, out) : command.append(info, out))) {
    out.resize(start);
    if (missing == Missing::Empty) return false;
    out += "null";
    return true;
  }
  if (!quoted) return true;
  escape_from(start + 1, out);
  out += '"';
  return true;
}

bool LogFormat::Node::append(const http::StreamInfo& info, Missing missing,
                             std::string& out) const {
  switch (kind) {
    case Kind::Fixed:
      out += fixed;
      return true;
    case Kind::Command:
      return append_command(info, missing, out);
    case Kind::String: {
      out += '"';
      size_t start = out.size();
      append_pieces(pieces, missing, info, out);
      escape_from(start, out);
      out += '"';
      return true;
    }
    case Kind::Object: {
      out += '{';
      bool first = true;
      for (const auto& [name, value] : fields) {
        size_t start = out.size();
        if (!first) out += ',';
        out += name;
        if (value.append(info, missing, out)) {
          first = false;
        } else {
          out.resize(start);
        }
      }
      out += '}';
      return true;
    }
    case Kind::List: {
      out += '[';
      bool first = true;
      for (const Node& item : items) {
        size_t start = out.size();
        if (!first) out += ',';
        if (item.append(info, missing, out)) {
          first = false;
        } else {
          out.resize(start);
        }
      }
      out += ']';
      return true;
    }
  }
  return false;
}

absl::StatusOr<LogFormat> LogFormat::text(std::string_view format, Missing missing) {
  auto pieces = compile_pieces(format);
  if (!pieces.ok()) return pieces.status();
  LogFormat out;
  out.missing_ = missing;
  out.pieces_ = *std::move(pieces);
  return out;
}

absl::StatusOr<LogFormat> LogFormat::json(const JsonTemplate& json, Missing missing) {
  auto node = Node::compile(json);
  if (!node.ok()) return node.status();
  LogFormat out;
  out.missing_ = missing;
  out.json_ = std::make_shared<const Node>(*std::move(node));
  return out;
}

void LogFormat::append(const http::StreamInfo& info, std::string& out) const {
  if (json_ == nullptr) return append_pieces(pieces_, missing_, info, out);
  json_->append(info, missing_, out);
  out += '\n';
}

}  // namespace remora::telemetry
