// What users have and may have, as `uarena daemon status` shows it.
#pragma once

#include <boost/json.hpp>
#include <span>
#include <string>

#include "ipc/abi_accounts.h"
#include "tools/uarena/render.h"

namespace uarena::cli {

boost::json::array accounts_json(std::span<const uarena_account_info> accounts);
// Only resources that are used, limited, or were refused.
std::string accounts_text(std::span<const uarena_account_info> accounts, const Output& output);

}  // namespace uarena::cli
