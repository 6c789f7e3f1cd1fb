// The C library's program calls.
#include <algorithm>
#include <span>

#include "ipc/client/connection_handle.h"
#include "ipc/client/last_error.h"

namespace {

using uarena::fail;
using uarena::Result;
using uarena::Why;
using uarena::ipc::check_conn;
using uarena::ipc::check_text;
using uarena::ipc::get_text;
using uarena::ipc::guarded;
using uarena::ipc::last_error;
using uarena::ipc::LoadSpec;
using uarena::ipc::set_text;

uarena_prog to_c(const uarena_prog_info& info) {
  uarena_prog out{};
  out.id = info.id;
  out.arena_id = info.arena_id;
  out.insns = info.insns;
  out.jited_bytes = info.jited_bytes;
  out.ctx_size = info.ctx_size;
  set_text(out.name, get_text(info.name));
  set_text(out.section, get_text(info.section));
  return out;
}

Result<int> load(uarena_conn* conn, const char* path, uint64_t arena_id, uarena_prog* progs,
                 size_t max) {
  if (auto ok = check_conn(conn); !ok) return std::unexpected(ok.error());
  if (auto ok = check_text("the object's path", path); !ok) return std::unexpected(ok.error());
  if (progs == nullptr && max != 0)
    return fail(Why::usage, EINVAL, "progs is NULL, but max is {}", max);
  LoadSpec spec;
  spec.arena_id = arena_id;
  auto answer = conn->broker.load(path, spec, &last_error().log);
  if (!answer) return std::unexpected(std::move(answer.error()));
  for (size_t i = 0; i < std::min(max, answer->programs.size()); ++i)
    progs[i] = to_c(answer->programs[i]);
  return static_cast<int>(answer->programs.size());
}

Result<int> test_run(uarena_conn* conn, uint64_t prog_id, uarena_test_run* run) {
  if (auto ok = check_conn(conn); !ok) return std::unexpected(ok.error());
  if (run == nullptr) return fail(Why::usage, EINVAL, "run is NULL");
  if (run->ctx == nullptr && run->ctx_size != 0)
    return fail(Why::usage, EINVAL, "ctx is NULL, but ctx_size is {}", run->ctx_size);
  if (run->data == nullptr && run->data_size != 0)
    return fail(Why::usage, EINVAL, "data is NULL, but data_size is {}", run->data_size);
  const auto ctx = std::span(static_cast<std::byte*>(run->ctx), run->ctx_size);
  const auto data = std::span(static_cast<std::byte*>(run->data), run->data_size);
  auto answer = conn->broker.run(prog_id, ctx, run->repeat, data);
  if (!answer) return std::unexpected(std::move(answer.error()));
  std::ranges::copy(answer->ctx, ctx.begin());
  std::ranges::copy(answer->data, data.begin());
  run->retval = static_cast<int32_t>(static_cast<uint32_t>(answer->r0));
  run->duration_ns = answer->duration_ns;
  return 0;
}

Result<int> run(uarena_conn* conn, uint64_t prog_id, void* ctx, size_t ctx_size, int32_t* retval,
                uint64_t* duration_ns) {
  uarena_test_run once{};
  once.ctx = ctx;
  once.ctx_size = ctx_size;
  once.repeat = 1;
  auto done = test_run(conn, prog_id, &once);
  if (!done) return done;
  if (retval != nullptr) *retval = once.retval;
  if (duration_ns != nullptr) *duration_ns = once.duration_ns;
  return done;
}

}  // namespace

extern "C" {

int uarena_prog_load(uarena_conn* conn, const char* path, uint64_t arena_id,
                     struct uarena_prog* progs, size_t max) {
  return static_cast<int>(guarded([&] { return load(conn, path, arena_id, progs, max); }));
}

int uarena_prog_run(uarena_conn* conn, uint64_t prog_id, void* ctx, size_t ctx_size,
                    int32_t* retval, uint64_t* duration_ns) {
  return static_cast<int>(
      guarded([&] { return run(conn, prog_id, ctx, ctx_size, retval, duration_ns); }));
}

int uarena_prog_test_run(uarena_conn* conn, uint64_t prog_id, struct uarena_test_run* run) {
  return static_cast<int>(guarded([&] { return test_run(conn, prog_id, run); }));
}

int uarena_prog_unload(uarena_conn* conn, uint64_t prog_id) {
  return static_cast<int>(guarded([&]() -> Result<int> {
    if (auto ok = check_conn(conn); !ok) return std::unexpected(ok.error());
    if (auto ok = conn->broker.unload(prog_id); !ok) return std::unexpected(ok.error());
    return 0;
  }));
}

}  // extern "C"
