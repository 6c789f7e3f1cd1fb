// The same in C++.
#include <cstdint>
#include <iostream>
#include <uarena.hpp>

int main(int, char** argv) {
  uarena::Client client(argv[1]);
  const uarena_info arena = client.find(argv[2]);
  const uarena::Mapping mapping = client.attach(arena.id);
  std::cout << argv[2] << " " << *static_cast<volatile std::uint64_t*>(mapping.base()) << "\n";
}
