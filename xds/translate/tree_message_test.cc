// Every kind of field with every kind of value, read here and by Protobuf's own JSON, which must
// say the same but for the differences that are listed.
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "xds/translate/yaml_json.h"

namespace remora::xds::translate {
namespace {

namespace pb = google::protobuf;
using Proto = pb::FieldDescriptorProto;

constexpr std::pair<const char*, Proto::Type> kScalars[] = {
    {"double", Proto::TYPE_DOUBLE},     {"float", Proto::TYPE_FLOAT},
    {"int32", Proto::TYPE_INT32},       {"int64", Proto::TYPE_INT64},
    {"uint32", Proto::TYPE_UINT32},     {"uint64", Proto::TYPE_UINT64},
    {"sint32", Proto::TYPE_SINT32},     {"sint64", Proto::TYPE_SINT64},
    {"fixed32", Proto::TYPE_FIXED32},   {"fixed64", Proto::TYPE_FIXED64},
    {"sfixed32", Proto::TYPE_SFIXED32}, {"sfixed64", Proto::TYPE_SFIXED64},
    {"bool", Proto::TYPE_BOOL},         {"string", Proto::TYPE_STRING},
    {"bytes", Proto::TYPE_BYTES},       {"enum", Proto::TYPE_ENUM},
};

const pb::Descriptor* const kKnown[] = {
    pb::Any::descriptor(),         pb::Duration::descriptor(),    pb::Timestamp::descriptor(),
    pb::FieldMask::descriptor(),   pb::Struct::descriptor(),      pb::Value::descriptor(),
    pb::ListValue::descriptor(),   pb::Empty::descriptor(),       pb::BoolValue::descriptor(),
    pb::StringValue::descriptor(), pb::BytesValue::descriptor(),  pb::Int32Value::descriptor(),
    pb::Int64Value::descriptor(),  pb::UInt32Value::descriptor(), pb::UInt64Value::descriptor(),
    pb::FloatValue::descriptor(),  pb::DoubleValue::descriptor(),
};

/// A message "test.Kinds": of each kind a field alone ("int32_one"), repeated ("int32_list") and as
/// a map's value ("int32_map"); of each kind of key a map ("int32_keys"); a oneof.
class Kinds {
 public:
  Kinds() : pool_(pb::DescriptorPool::generated_pool()), factory_(&pool_) {
    factory_.SetDelegateToGeneratedFactory(true);
    file_.set_name("kinds.proto");
    file_.set_package("test");
    file_.set_syntax("proto3");
    auto& of_enum = *file_.add_enum_type();
    of_enum.set_name("Enum");
    add_enum_value("ZERO", 0, of_enum);
    add_enum_value("ONE", 1, of_enum);
    message_ = file_.add_message_type();
    message_->set_name("Kinds");
    for (const auto& [name, type] : kScalars) {
      add_kind(name, type, type == Proto::TYPE_ENUM ? ".test.Enum" : "");
      if (type != Proto::TYPE_DOUBLE && type != Proto::TYPE_FLOAT && type != Proto::TYPE_BYTES &&
          type != Proto::TYPE_ENUM) {
        add_map(absl::StrCat(name, "_keys"), type, Proto::TYPE_STRING, "");
      }
    }
    add_kind("message", Proto::TYPE_MESSAGE, ".test.Kinds");
    std::set<std::string> files;
    for (const pb::Descriptor* known : kKnown) {
      if (files.insert(known->file()->name()).second) file_.add_dependency(known->file()->name());
      add_kind(known->name(), Proto::TYPE_MESSAGE, "." + known->full_name());
    }
    message_->add_oneof_decl()->set_name("choice");
    add_field("this", Proto::TYPE_STRING, "").set_oneof_index(0);
    add_field("that", Proto::TYPE_MESSAGE, ".test.Kinds").set_oneof_index(0);
    descriptor_ = pool_.BuildFile(file_)->FindMessageTypeByName("Kinds");
  }

  std::unique_ptr<pb::Message> make() {
    return std::unique_ptr<pb::Message>(factory_.GetPrototype(descriptor_)->New());
  }
  const pb::Descriptor& descriptor() const { return *descriptor_; }

 private:
  static void add_enum_value(const char* name, int number, pb::EnumDescriptorProto& to) {
    to.add_value()->set_name(name);
    to.mutable_value()->rbegin()->set_number(number);
  }

  static void fill(Proto& field, const std::string& name, int number, Proto::Type type,
                   const std::string& type_name) {
    field.set_name(name);
    field.set_number(number);
    field.set_type(type);
    field.set_label(Proto::LABEL_OPTIONAL);
    if (!type_name.empty()) field.set_type_name(type_name);
  }

  Proto& add_field(const std::string& name, Proto::Type type, const std::string& type_name) {
    Proto& field = *message_->add_field();
    fill(field, name, message_->field_size(), type, type_name);
    return field;
  }

  void add_kind(const std::string& name, Proto::Type type, const std::string& type_name) {
    add_field(name + "_one", type, type_name);
    add_field(name + "_list", type, type_name).set_label(Proto::LABEL_REPEATED);
    add_map(name + "_map", Proto::TYPE_STRING, type, type_name);
  }

  void add_map(const std::string& name, Proto::Type key, Proto::Type value,
               const std::string& value_type) {
    auto& entry = *message_->add_nested_type();
    std::string entry_name;  // as the compiler would call it: "int32_map" has an "Int32MapEntry"
    for (size_t i = 0; i < name.size(); ++i) {
      if (name[i] == '_') continue;
      const bool first = i == 0 || name[i - 1] == '_';
      entry_name += first ? static_cast<char>(toupper(name[i])) : name[i];
    }
    entry.set_name(entry_name + "Entry");
    entry.mutable_options()->set_map_entry(true);
    fill(*entry.add_field(), "key", 1, key, "");
    fill(*entry.add_field(), "value", 2, value, value_type);
    add_field(name, Proto::TYPE_MESSAGE, ".test.Kinds." + entry.name())
        .set_label(Proto::LABEL_REPEATED);
  }

  pb::DescriptorPool pool_;
  pb::DynamicMessageFactory factory_;
  pb::FileDescriptorProto file_;
  pb::DescriptorProto* message_ = nullptr;
  const pb::Descriptor* descriptor_ = nullptr;
};

constexpr const char* kValues[] = {
    "null",
    "true",
    "false",
    // numbers
    "0",
    "1",
    "-1",
    "-0",
    "-0.0",
    "1.5",
    "1e3",
    "1.0",
    "-1e0",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "4294967295.5",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "1e20",
    "3.4e38",
    "3.5e38",
    "-3.5e38",
    "1e308",
    // numbers as text
    R"("")",
    R"("0")",
    R"("1")",
    R"("-1")",
    R"("+1")",
    R"("-0")",
    R"(" 1")",
    R"("1 ")",
    R"("01")",
    R"("1.5")",
    R"("1e3")",
    R"("1.0")",
    R"("1.")",
    R"(".5")",
    R"("4294967295")",
    R"("4294967296")",
    R"("18446744073709551615")",
    R"("18446744073709551616")",
    R"("99999999999999999999")",
    R"("3.5e38")",
    R"("1e400")",
    R"("1e-400")",
    R"("NaN")",
    R"("Infinity")",
    R"("-Infinity")",
    R"("inf")",
    R"("nan")",
    R"("0x10")",
    R"("-")",
    R"("+")",
    R"("+-1")",
    R"("1x")",
    // booleans, enums and bytes as text
    R"("true")",
    R"("TRUE")",
    R"("t")",
    R"("yes")",
    R"("no")",
    R"("False")",
    R"("on")",
    R"("maybe")",
    R"("ONE")",
    R"("YQ==")",
    R"("YQ")",
    R"("YQ=")",
    R"("YR==")",
    R"("-_-_")",
    R"("+/+/")",
    R"("+_")",
    R"("Y Q==")",
    R"("YWI=")",
    R"("YWJj\n")",
    R"("\u00e9")",
    R"("====")",
    // durations, points in time, masks
    R"("1s")",
    R"("-1s")",
    R"("1.5s")",
    R"("-0.5s")",
    R"("1.123456789s")",
    R"("1.1234567891s")",
    R"("1.s")",
    R"(".5s")",
    R"("+1s")",
    R"(" 1s")",
    R"("1 s")",
    R"("1.5 s")",
    R"("1.-5s")",
    R"("1.+5s")",
    R"("1e0s")",
    R"("s")",
    R"("-s")",
    R"("--1s")",
    R"("01s")",
    R"("1.05s")",
    R"("315576000000s")",
    R"("315576000001s")",
    R"("-315576000000s")",
    R"("315576000000.5s")",
    R"("1.500000000s")",
    R"("1.0000000000s")",
    R"("2020-01-01T00:00:00Z")",
    R"("2020-01-01")",
    R"("a.b,c")",
    R"("fooBar")",
    // lists and objects
    "[]",
    "[1]",
    "[[1]]",
    R"(["a"])",
    "[{}]",
    "{}",
    R"({"value": 1})",
    R"({"value": null})",
    R"({"value": "YQ=="})",
    R"({"seconds": 1, "nanos": "5"})",
    R"({"seconds": "1.5"})",
    R"({"a": [1, {"b": null}], "c": "d", "e": 1.5, "f": true})",
    R"({"1": "a", "true": "b"})",
    R"({"paths": ["a"]})",
    R"({"int32One": 1, "string_one": "a"})",
    R"({"this": "a", "that": {}})",
    R"({"this": null, "that": {"this": ""}})",
    R"({"that": {}, "this": ""})",
    // Any
    R"({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"})",
    R"({"value": "1s", "@type": "type.googleapis.com/google.protobuf.Duration"})",
    R"({"@type": "type.googleapis.com/google.protobuf.Duration"})",
    R"({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "x"})",
    R"({"@type": "type.googleapis.com/google.protobuf.Duration", "value": null})",
    R"({"@type": "type.googleapis.com/google.protobuf.Empty"})",
    R"({"@type": "type.googleapis.com/google.protobuf.Value", "value": null})",
    R"({"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"a": 1}})",
    R"({"@type": "type.googleapis.com/google.protobuf.UInt32Value", "value": -1})",
    R"({"@type": "type.googleapis.com/google.protobuf.UInt32Value", "value": "7"})",
    R"({"@type": "type.googleapis.com/google.protobuf.Any", "value": {"@type": )"
    R"("type.googleapis.com/google.protobuf.BoolValue", "value": true}})",
    R"({"@type": 1})",
};

class TreeMessageTest : public testing::Test {
 protected:
  // What came of it: the message, or "refused".
  std::string here(const std::string& json) {
    const auto out = kinds_.make();
    unknown_ = false;
    const absl::Status status =
        text_to_message(json, Syntax::Json, out.get(), [this](const Unknown&) { unknown_ = true; });
    return status.ok() ? out->DebugString() : "refused";
  }
  std::string there(const std::string& json) {
    const auto out = kinds_.make();
    return pb::util::JsonStringToMessage(json, out.get()).ok() ? out->DebugString() : "refused";
  }

  Kinds kinds_;
  bool unknown_ = false;
};

bool is_whole(const pb::FieldDescriptor& field) {
  using Cpp = pb::FieldDescriptor::CppType;
  if (field.is_map()) {
    return is_whole(*field.message_type()->map_key()) ||
           is_whole(*field.message_type()->map_value());
  }
  if (field.message_type() != nullptr) {
    return field.message_type()->name().ends_with("Value") &&
           field.message_type()->field_count() == 1 && is_whole(*field.message_type()->field(0));
  }
  const Cpp type = field.cpp_type();
  return type == Cpp::CPPTYPE_INT32 || type == Cpp::CPPTYPE_INT64 || type == Cpp::CPPTYPE_UINT32 ||
         type == Cpp::CPPTYPE_UINT64 || type == Cpp::CPPTYPE_ENUM;
}

/// Why something is read otherwise than by this version of Protobuf; null: it is not.
const char* reason(const pb::FieldDescriptor& field, const std::string& value) {
  const std::string& name = field.name();
  const std::set<std::string> whole = {R"("1e3")", R"("1.0")", R"("1e-400")", R"("-0")"};
  if (is_whole(field) && whole.contains(value)) return "text says a whole number, as in Envoy";
  if (value == "-0") return "a negative zero stays one";
  if (value == R"("0x10")") return "decimal numbers only, as in Envoy";
  const std::set<std::string> durations = {R"("1.s")", R"("+1s")", R"(" 1s")", R"("1 s")",
                                           R"("1.0000000000s")"};
  if (name.starts_with("Duration") && durations.contains(value)) return "strict, as in Envoy";
  if (name == "Value_one" && value == "null") return "null is a field that is not set";
  if (name.starts_with("ListValue") && value == "{}") return "an object is no list";
  if (field.is_repeated() && value[0] == '[') return "a list is no element of another";
  if (field.is_repeated() && value == "null") return "a message is an object";
  return nullptr;
}

TEST_F(TreeMessageTest, SaysWhatProtobufSays) {
  size_t same = 0;
  for (int i = 0; i < kinds_.descriptor().field_count(); ++i) {
    const pb::FieldDescriptor& field = *kinds_.descriptor().field(i);
    for (const std::string value : kValues) {
      std::string whole = value;
      if (field.name().ends_with("_keys")) {
        if (value[0] != '"') continue;
        whole = "{" + value + R"(: "v"})";
      } else if (field.is_map()) {
        whole = R"({"k": )" + value + "}";
      } else if (field.is_repeated()) {
        whole = "[" + value + "]";
      }
      const std::string json = absl::StrCat("{\"", field.name(), "\": ", whole, "}");
      const std::string ours = here(json);
      const std::string theirs = there(json);
      if (unknown_) continue;  // is reported instead of being refused or kept
      if (ours == theirs) {
        ++same;
      } else {
        EXPECT_NE(reason(field, value), nullptr) << json << "\n" << ours << "\n" << theirs;
      }
    }
  }
  EXPECT_GT(same, 5000u);
}

TEST_F(TreeMessageTest, NullsAndRepetitions) {
  EXPECT_EQ(here(R"({"Value_one": null, "message_one": null, "int32_one": null})"), "");
  EXPECT_EQ(here(R"({"int32_list": [1, null, 2], "message_list": []})"),
            "int32_list: 1\nint32_list: 2\n");
  EXPECT_EQ(here(R"({"message_list": [null]})"), "refused");
  EXPECT_EQ(here(R"({"int32One": 1, "int32_one": 1})"), "refused");
  EXPECT_EQ(here(R"({"int32One": null, "int32_one": 1})"), "int32_one: 1\n");
}

TEST_F(TreeMessageTest, WhatIsUnknownIsLeftOut) {
  EXPECT_EQ(here(R"({"enum_map": {"a": 7, "b": "ONE", "c": "x"}, "enum_list": [1, 7, "x"]})"),
            here(R"({"enum_map": {"b": 1}, "enum_list": ["ONE"]})"));
  EXPECT_EQ(
      here(R"({"Any_one": {"@type": "a/google.protobuf.Empty", "x": 1}, "Empty_one": {"y": 1}})"),
      here(R"({"Any_one": {"@type": "a/google.protobuf.Empty"}, "Empty_one": {}})"));
  EXPECT_EQ(here(R"({"this": "a", "that": {"x": 1}})"), "refused");
}

TEST_F(TreeMessageTest, NothingIsMadeThatCouldNotBeReadAgain) {
  const struct {
    std::string open, inside, close;
    int most;
  } cases[] = {
      {R"({"message_one": )", "{}", "}", 100},
      {R"({"message_map": {"k": )", "{}", "}}", 50},
      {R"([)", "1", "]", 49},
      {R"({"a": )", "1", "}", 33},
  };
  for (const auto& c : cases) {
    for (int levels = c.most - 1; levels < c.most + 2; ++levels) {
      std::string json = c.inside;
      for (int i = 0; i < levels; ++i) json = c.open + json + c.close;
      if (c.inside == "1") json = R"({"Value_one": )" + json + "}";
      const auto out = kinds_.make();
      const auto again = kinds_.make();
      const absl::Status read =
          text_to_message(json, Syntax::Json, out.get(), [](const Unknown&) {});
      EXPECT_EQ(read.ok(), levels <= c.most) << json;
      if (!read.ok()) continue;
      EXPECT_TRUE(again->ParseFromString(out->SerializeAsString())) << json;
    }
  }
}

}  // namespace
}  // namespace remora::xds::translate
