// What the broker says to whoever started it: that it serves, that it stops, that it is alive.
// sd_notify(3) to systemd or the keeper; nothing happens where nobody wants to know.
#pragma once

#include <string_view>

namespace uarena::broker {

// `status`: one line for a person.
void tell_ready(std::string_view status);
void tell_reloading();
void tell_stopping();
void tell_alive();

}  // namespace uarena::broker
