// The text files, made from the records of the wire format alone: one `key: value` per line, with
// the keys of `uarena arena|client|prog show -j`; and for pages one line per extent.
//
// Text of peers (names, comm) is escaped, so that nobody can forge a line or drive a terminal.
#pragma once

#include <span>
#include <string>

#include "ipc/abi.h"

namespace uarena::inspectfs {

std::string info_text(const uarena_arena_info& arena);
// "FIRST COUNT ORIGIN BEGIN-END": page numbers, who took them, and the addresses that they have.
std::string pages_text(const uarena_arena_info& arena, std::span<const uarena_page_extent> extents);
std::string client_text(const uarena_client_info& client);
std::string program_text(const uarena_prog_info& program);

}  // namespace uarena::inspectfs
