#include "tools/uarena/account_views.h"

#include <cstdint>

#include "ipc/resource_names.h"
#include "tools/uarena/text.h"

namespace uarena::cli {
namespace {

using Align = Table::Align;

bool is_brokers(const uarena_account_info& account) { return account.id == UARENA_ACCOUNT_BROKER; }

// Of the broker's own account only the memory is meant.
size_t resources_of(const uarena_account_info& account) {
  return is_brokers(account) ? UARENA_RESOURCE_PAGES + 1 : UARENA_RESOURCES;
}

bool is_worth_a_line(const uarena_resource_use& use) {
  return use.used != 0 || use.denied != 0 || use.limit != UINT64_MAX;
}

}  // namespace

boost::json::array accounts_json(std::span<const uarena_account_info> accounts) {
  boost::json::array all;
  for (const uarena_account_info& account : accounts) {
    boost::json::object one;
    one["uid"] = is_brokers(account) ? boost::json::value() : boost::json::value(account.uid);
    for (size_t n = 0; n < resources_of(account); ++n) {
      const uarena_resource_use& use = account.of[n];
      one[ipc::kResourceNames[n]] = {
          {"used", json_count(use.used)},
          {"limit", use.limit == UINT64_MAX ? boost::json::value() : boost::json::value(use.limit)},
          {"denied", json_count(use.denied)}};
    }
    all.push_back(std::move(one));
  }
  return all;
}

std::string accounts_text(std::span<const uarena_account_info> accounts, const Output& output) {
  Table table({{"USER", Align::right},
               {"RESOURCE"},
               {"USED", Align::right},
               {"LIMIT", Align::right},
               {"DENIED", Align::right}});
  for (const uarena_account_info& account : accounts)
    for (size_t n = 0; n < resources_of(account); ++n) {
      const uarena_resource_use& use = account.of[n];
      if (!is_worth_a_line(use)) continue;
      table.row({is_brokers(account) ? "all" : std::to_string(account.uid),
                 std::string(ipc::kResourceNames[n]), grouped(use.used),
                 use.limit == UINT64_MAX ? "none" : grouped(use.limit), grouped(use.denied)});
    }
  return table.text(output);
}

}  // namespace uarena::cli
