// Compiled, like the .cpp files of its ops, once for each instruction-set level: -DUNROLLED_LEVEL=avx512, avx2 or baseline names its namespace.
#include "delta/delta.h"
#include "diagonal/diagonal.h"
#include "gated/gated.h"
#include "mlstm/mlstm.h"
#include "live/program.h"
#include "slstm/slstm.h"
#include "live/stepper.h"
#include "base/table.h"

#define UNROLLED_JOIN(left, right) left##right
#define UNROLLED_NAME(left, right) UNROLLED_JOIN(left, right)
#define UNROLLED_TEXT(word) #word
#define UNROLLED_WORD(word) UNROLLED_TEXT(word)

namespace unrolled {

const Table* UNROLLED_NAME(unrolled_table_, UNROLLED_LEVEL)() {
    static constexpr Table table = {
        UNROLLED_WORD(UNROLLED_LEVEL),
        UNROLLED_LEVEL::gated_forward,
        UNROLLED_LEVEL::gated_backward,
        UNROLLED_LEVEL::diagonal_forward,
        UNROLLED_LEVEL::diagonal_backward,
        UNROLLED_LEVEL::slstm_forward,
        UNROLLED_LEVEL::slstm_backward,
        UNROLLED_LEVEL::mlstm_forward,
        UNROLLED_LEVEL::mlstm_backward,
        UNROLLED_LEVEL::delta_forward,
        UNROLLED_LEVEL::delta_backward,
        UNROLLED_LEVEL::live_create,
        UNROLLED_LEVEL::program_create,
        UNROLLED_LEVEL::live_step,
        UNROLLED_LEVEL::live_get,
        UNROLLED_LEVEL::live_set,
        UNROLLED_LEVEL::live_free,
    };
    return &table;
}

}  // namespace unrolled
