#include "xds/translate/match_tree.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>

#include "api/http_inputs.pb.h"
#include "api/network_inputs.pb.h"
#include "api/ssl_inputs.pb.h"
#include "xds/translate/match.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using Matcher = ::xds::type::matcher::v3::Matcher;
using Predicate = Matcher::MatcherList::Predicate;
using Extension = ::xds::core::v3::TypedExtensionConfig;
using policy::Condition;
using policy::Input;
using policy::InputOf;
using policy::MatchTree;
using policy::Toward;

struct KnownInput {
  std::string_view type;
  Input input;
};
constexpr KnownInput kInputs[] = {
    {"envoy.extensions.matching.common_inputs.network.v3.DestinationIPInput", Input::DestinationIp},
    {"envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput",
     Input::DestinationPort},
    {"envoy.extensions.matching.common_inputs.network.v3.SourceIPInput", Input::SourceIp},
    {"envoy.extensions.matching.common_inputs.network.v3.SourcePortInput", Input::SourcePort},
    {"envoy.extensions.matching.common_inputs.network.v3.DirectSourceIPInput",
     Input::DirectSourceIp},
    {"envoy.extensions.matching.common_inputs.network.v3.ServerNameInput", Input::ServerName},
    {"envoy.extensions.matching.common_inputs.ssl.v3.UriSanInput", Input::UriSan},
    {"envoy.extensions.matching.common_inputs.ssl.v3.DnsSanInput", Input::DnsSan},
    {"envoy.extensions.matching.common_inputs.ssl.v3.SubjectInput", Input::Subject},
};

class Compiler {
 public:
  Compiler(TreeUse use, const Context& context, MakeLeaf make_leaf)
      : use_(use), context_(context), make_leaf_(make_leaf) {}

  absl::StatusOr<MatchTree::Node> node(const Matcher& from, const Path& path) {
    MatchTree::Node out;
    switch (from.matcher_type_case()) {
      case Matcher::kMatcherList:
        REMORA_TRY_ASSIGN(out.by, list(from.matcher_list(), path.field("matcher_list")));
        break;
      case Matcher::kMatcherTree:
        REMORA_TRY(map(from.matcher_tree(), &out, path.field("matcher_tree")));
        break;
      case Matcher::MATCHER_TYPE_NOT_SET:
        break;
    }
    if (from.has_on_no_match()) {
      auto compiled = outcome(from.on_no_match(), path.field("on_no_match"));
      if (!compiled.ok()) return compiled.status();
      out.otherwise = std::move(compiled->first);
    }
    return out;
  }

 private:
  using Compiled = std::pair<MatchTree::Outcome, Toward>;

  absl::StatusOr<MatchTree::Outcome> plain_outcome(const Matcher::OnMatch& from, const Path& path) {
    auto compiled = outcome(from, path);
    if (!compiled.ok()) return compiled.status();
    return std::move(compiled->first);
  }

  /// With what it leads to.
  absl::StatusOr<Compiled> outcome(const Matcher::OnMatch& from, const Path& path) {
    if (from.keep_matching()) return path.field("keep_matching").error("is not supported");
    switch (from.on_match_case()) {
      case Matcher::OnMatch::kMatcher: {
        const size_t before = leaves_.size();
        auto next = node(from.matcher(), path.field("matcher"));
        if (!next.ok()) return next.status();
        return Compiled{std::make_unique<const MatchTree::Node>(*std::move(next)),
                        toward_since(before)};
      }
      case Matcher::OnMatch::kAction:
        return leaf(from.action(), path.field("action"));
      case Matcher::OnMatch::ON_MATCH_NOT_SET:
        break;
    }
    return path.error("has nothing to do that is supported");
  }

  Toward toward_since(size_t leaf) const {
    if (leaf == leaves_.size()) return Toward::Either;
    const auto same = [&](Toward toward) { return toward == leaves_[leaf]; };
    return std::all_of(leaves_.begin() + static_cast<ptrdiff_t>(leaf), leaves_.end(), same)
               ? leaves_[leaf]
               : Toward::Either;
  }

  absl::StatusOr<Compiled> leaf(const Extension& from, const Path& path) {
    auto toward = make_leaf_(from, path);
    if (!toward.ok()) return toward.status();
    leaves_.push_back(*toward);
    return Compiled{static_cast<uint32_t>(leaves_.size() - 1), *toward};
  }

  absl::StatusOr<MatchTree::List> list(const Matcher::MatcherList& from, const Path& path) {
    if (from.matchers_size() == 0) return path.field("matchers").error("must not be empty");
    MatchTree::List out;
    for (int i = 0; i < from.matchers_size(); ++i) {
      const Path here = path.at("matchers", i);
      auto then = outcome(from.matchers(i).on_match(), here.field("on_match"));
      if (!then.ok()) return then.status();
      auto when = predicate(from.matchers(i).predicate(), then->second, here.field("predicate"));
      if (!when.ok()) return when.status();
      out.matchers.emplace_back(*std::move(when), std::move(then->first));
    }
    return out;
  }

  absl::Status map(const Matcher::MatcherTree& from, MatchTree::Node* out, const Path& path) {
    InputOf input;
    REMORA_TRY_ASSIGN(input, input_of(from.input(), path.field("input")));
    switch (from.tree_type_case()) {
      case Matcher::MatcherTree::kExactMatchMap: {
        MatchTree::ExactMap exact{std::move(input), {}};
        REMORA_TRY(each(from.exact_match_map(), path.field("exact_match_map"),
                        [&](const std::string& key, MatchTree::Outcome outcome) {
                          exact.outcomes.emplace(key, std::move(outcome));
                        }));
        out->by = std::move(exact);
        return absl::OkStatus();
      }
      case Matcher::MatcherTree::kPrefixMatchMap: {
        MatchTree::PrefixMap prefix{std::move(input), {}};
        REMORA_TRY(each(from.prefix_match_map(), path.field("prefix_match_map"),
                        [&](const std::string& key, MatchTree::Outcome outcome) {
                          prefix.outcomes.emplace_back(key, std::move(outcome));
                        }));
        std::ranges::stable_sort(prefix.outcomes, [](const auto& a, const auto& b) {
          return a.first.size() > b.first.size();
        });
        out->by = std::move(prefix);
        return absl::OkStatus();
      }
      case Matcher::MatcherTree::TREE_TYPE_NOT_SET:
        break;
    }
    return path.error("has no kind of tree that is supported");
  }

  template <class Add>
  absl::Status each(const Matcher::MatcherTree::MatchMap& from, const Path& path, Add add) {
    if (from.map().empty()) return path.field("map").error("must not be empty");
    std::vector<std::string> keys;
    for (const auto& [key, value] : from.map()) keys.push_back(key);
    std::ranges::sort(keys);
    for (const std::string& key : keys) {
      auto compiled = plain_outcome(from.map().at(key), path.entry("map", key));
      if (!compiled.ok()) return compiled.status();
      add(key, *std::move(compiled));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<InputOf> input_of(const Extension& from, const Path& path) const {
    using Header = envoy::type::matcher::v3::HttpRequestHeaderMatchInput;
    using State = envoy::extensions::matching::common_inputs::network::v3::FilterStateInput;
    const Path here = path.field("typed_config");
    auto config = unwrap(from.typed_config(), here);
    if (!config.ok()) return config.status();
    if (use_ == TreeUse::Routes) {
      if (config->type == State::descriptor()->full_name()) {
        State state;
        if (!state.ParseFromString(config->bytes)) return here.error("is not valid");
        if (state.key().empty()) return here.field("key").error("is required");
        return InputOf{Input::FilterState, state.key()};
      }
    } else {
      for (const KnownInput& known : kInputs) {
        if (known.type == config->type) return InputOf{known.input, {}};
      }
    }
    if (config->type != Header::descriptor()->full_name()) {
      return here.error(absl::StrCat("unknown type ", config->type));
    }
    if (use_ == TreeUse::NetworkPolicy) return here.error("there are no headers over TCP");
    Header header;
    if (!header.ParseFromString(config->bytes)) return here.error("is not valid");
    REMORA_TRY(check_header_name(header.header_name(), here.field("header_name")));
    return InputOf{Input::Header, absl::AsciiStrToLower(header.header_name())};
  }

  absl::StatusOr<Condition> predicate(const Predicate& from, Toward toward,
                                      const Path& path) const {
    switch (from.match_type_case()) {
      case Predicate::kSinglePredicate:
        return single(from.single_predicate(), toward, path.field("single_predicate"));
      case Predicate::kOrMatcher:
        return several<policy::AnyOf>(from.or_matcher(), toward, path.field("or_matcher"));
      case Predicate::kAndMatcher:
        return several<policy::AllOf>(from.and_matcher(), toward, path.field("and_matcher"));
      case Predicate::kNotMatcher: {
        auto inner =
            predicate(from.not_matcher(), policy::opposite(toward), path.field("not_matcher"));
        if (!inner.ok()) return inner;
        return Condition{policy::Not{std::make_unique<const Condition>(*std::move(inner))}};
      }
      case Predicate::MATCH_TYPE_NOT_SET:
        break;
    }
    return path.error("has no predicate that is supported");
  }

  template <class Several>
  absl::StatusOr<Condition> several(const Predicate::PredicateList& from, Toward toward,
                                    const Path& path) const {
    if (from.predicate_size() < 2) {
      return path.field("predicate").error("must have two elements or more");
    }
    Several out;
    for (int i = 0; i < from.predicate_size(); ++i) {
      auto one = predicate(from.predicate(i), toward, path.at("predicate", i));
      if (!one.ok()) return one;
      out.of.push_back(*std::move(one));
    }
    return Condition{std::move(out)};
  }

  absl::StatusOr<Condition> single(const Predicate::SinglePredicate& from, Toward toward,
                                   const Path& path) const {
    policy::InputIs out;
    out.toward = toward;
    REMORA_TRY_ASSIGN(out.input, input_of(from.input(), path.field("input")));
    const Path here = path.field("value_match");
    if (!from.has_value_match()) return here.error("is required");
    // The same message under two names.
    envoy::type::matcher::v3::StringMatcher text;
    if (!text.ParseFromString(from.value_match().SerializeAsString())) {
      return here.error("is not valid");
    }
    REMORA_TRY_ASSIGN(out.match, string_match(text, context_, here));
    return Condition{std::move(out)};
  }

  const TreeUse use_;
  const Context& context_;
  MakeLeaf make_leaf_;
  std::vector<Toward> leaves_;  // what each leads to
};

}  // namespace

absl::StatusOr<MatchTree::Node> match_tree(const Matcher& proto, TreeUse use,
                                           const Context& context, MakeLeaf make_leaf,
                                           const Path& path) {
  return Compiler(use, context, make_leaf).node(proto, path);
}

}  // namespace remora::xds::translate
