// The Python module `unrolled.ops._native`: chooses the instruction-set level and hands it calls, without the GIL.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "base/gil.h"
#include "base/lock.h"
#include "base/table.h"
#include "base/threads.h"

namespace nb = nanobind;

namespace unrolled {

// Defined in live/stepper.cpp.
void bind_stepper(nb::module_& m);

Runtime runtime;
std::atomic<int> forks{0};
std::atomic<bool> ending{false};
std::thread::id ending_in;

const Table* unrolled_table_avx512();
const Table* unrolled_table_avx2();
const Table* unrolled_table_baseline();

namespace {

using Fields = std::vector<int64_t>;

// The levels that were compiled and that this processor and its operating system run, best first.
std::vector<const Table*> tables() {
    std::vector<const Table*> found;
#if defined(UNROLLED_HAS_AVX2)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#if defined(UNROLLED_HAS_AVX512)
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        found.push_back(unrolled_table_avx512());
    }
#endif
#if defined(UNROLLED_HAS_AVX2)
    if (avx2) found.push_back(unrolled_table_avx2());
#endif
    found.push_back(unrolled_table_baseline());
    return found;
}

std::atomic<const Table*> current{nullptr};

std::vector<std::string> levels() {
    std::vector<std::string> names;
    for (const Table* table : tables()) names.emplace_back(table->name);
    return names;
}

void set_level(const std::string& name) {
    std::string offered;
    for (const Table* table : tables()) {
        if (name == table->name) {
            current = table;
            return;
        }
        offered += (offered.empty() ? "" : ", ") + std::string(table->name);
    }
    throw nb::value_error(("level must be one that this processor runs, " + offered + ", got '" + name + "'.").c_str());
}

void set_runtime(uintptr_t parallel, uintptr_t thread_number, uintptr_t team_size) {
    const bool whole = parallel != 0 && thread_number != 0 && team_size != 0;
    runtime = Runtime{};
    if (!whole) return;
    runtime.parallel = reinterpret_cast<decltype(Runtime::parallel)>(parallel);
    runtime.thread_number = reinterpret_cast<decltype(Runtime::thread_number)>(thread_number);
    runtime.team_size = reinterpret_cast<decltype(Runtime::team_size)>(team_size);
}

// In a forked child: it runs alone, and finds all locks open.
void forked() {
    runtime = Runtime{};
    ++forks;
}

// The interpreter ends in this thread; to be called at its exit.
void end() {
    ending_in = std::this_thread::get_id();
    ending = true;
}

#define X(name) #name,
constexpr const char* gated_fields[] = {UNROLLED_GATED_FIELDS(X)};
constexpr const char* diagonal_fields[] = {UNROLLED_DIAGONAL_FIELDS(X)};
constexpr const char* slstm_fields[] = {UNROLLED_SLSTM_FIELDS(X)};
constexpr const char* mlstm_fields[] = {UNROLLED_MLSTM_FIELDS(X)};
constexpr const char* delta_fields[] = {UNROLLED_DELTA_FIELDS(X)};
#undef X

template <size_t count>
nb::tuple names(const char* const (&fields)[count]) {
    nb::list found;
    for (const char* field : fields) found.append(field);
    return nb::tuple(found);
}

void check_count(const char* call, const Fields& fields, size_t expected) {
    if (fields.size() == expected) return;
    const std::string message = std::string(call) + ": expected " + std::to_string(expected) + " fields, got " +
                                std::to_string(fields.size()) + "; give them in the order of the module's list.";
    throw nb::value_error(message.c_str());
}

GatedCall gated_call(const char* name, const Fields& fields, double rate_h, double rate_c) {
    check_count(name, fields, std::size(gated_fields));
    GatedCall call{};
    const int64_t* next = fields.data();
#define X(name) call.name = *next++;
    UNROLLED_GATED_FIELDS(X)
#undef X
    call.rate_h = rate_h;
    call.rate_c = rate_c;
    return call;
}

// A call that holds nothing but fields, which its struct has in the order of the list.
template <class Call, size_t count>
Call call_of(const char* name, const Fields& fields, const char* const (&)[count]) {
    static_assert(sizeof(Call) == count * sizeof(int64_t));
    check_count(name, fields, count);
    Call call;
    std::memcpy(&call, fields.data(), sizeof call);
    return call;
}

template <class Call>
void run(void (*kernel)(const Call&), const Call& call) {
    const WithoutGil released;
    kernel(call);
}

void gated_forward(const Fields& fields, double rate_h, double rate_c) {
    run(current.load()->gated_forward, gated_call("gated_forward", fields, rate_h, rate_c));
}

void gated_backward(const Fields& fields, double rate_h, double rate_c) {
    run(current.load()->gated_backward, gated_call("gated_backward", fields, rate_h, rate_c));
}

// Defines name_forward(fields) and name_backward(fields) on the module.
#define UNROLLED_BIND(m, name, Call)                                                                                   \
    m.def(#name "_forward", [](const Fields& fields) {                                                                 \
        run(current.load()->name##_forward, call_of<Call>(#name "_forward", fields, name##_fields));                   \
    }, "fields"_a);                                                                                                    \
    m.def(#name "_backward", [](const Fields& fields) {                                                                \
        run(current.load()->name##_backward, call_of<Call>(#name "_backward", fields, name##_fields));                 \
    }, "fields"_a)

}  // namespace

const Table* current_table() { return current.load(); }

}  // namespace unrolled

NB_MODULE(_native, m) {
    using namespace nb::literals;
    using namespace unrolled;
    unrolled::current = unrolled::tables().front();
    m.attr("GATED_FIELDS") = unrolled::names(unrolled::gated_fields);
    m.attr("DIAGONAL_FIELDS") = unrolled::names(unrolled::diagonal_fields);
    m.attr("SLSTM_FIELDS") = unrolled::names(unrolled::slstm_fields);
    m.attr("MLSTM_FIELDS") = unrolled::names(unrolled::mlstm_fields);
    m.attr("DELTA_FIELDS") = unrolled::names(unrolled::delta_fields);
    m.def("levels", &unrolled::levels);
    m.def("level", [] { return std::string(unrolled::current.load()->name); });
    m.def("set_level", &unrolled::set_level, "name"_a);
    m.def("set_runtime", &unrolled::set_runtime, "parallel"_a, "thread_number"_a, "team_size"_a);
    m.def("forked", &unrolled::forked);
    m.def("end", &unrolled::end);
    unrolled::bind_stepper(m);
    m.def("gated_forward", &unrolled::gated_forward, "fields"_a, "rate_h"_a, "rate_c"_a);
    m.def("gated_backward", &unrolled::gated_backward, "fields"_a, "rate_h"_a, "rate_c"_a);
    UNROLLED_BIND(m, diagonal, DiagonalCall);
    UNROLLED_BIND(m, slstm, SLSTMCall);
    UNROLLED_BIND(m, mlstm, MLSTMCall);
    UNROLLED_BIND(m, delta, DeltaCall);
}
