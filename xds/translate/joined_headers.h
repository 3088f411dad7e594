// The headers that Envoy keeps as one field with commas in it, however often they come: a value
// that is added joins the one that is there, and conditions see the whole. Of all others each value
// stands for itself. Pure functions.
#pragma once

#include <string_view>

namespace remora::xds::translate {

/// `name` is in lower case.
bool joins_in_requests(std::string_view name);
bool joins_in_responses(std::string_view name);

}  // namespace remora::xds::translate
