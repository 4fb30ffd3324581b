// Programs of live layers.
//
// A row of a buffer is a number of lines, each padded to whole vectors, and some slack: instructions read whole vectors,
// and `linear` writes them, so what follows a line's width is of no meaning. Whatever a product or a sum reads is cut.
#include "live/program.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "live/live_layer.h"
#include "live/pointwise.h"
#include "gated/problem.h"

namespace unrolled::UNROLLED_LEVEL {

namespace {

// Where an operand of a row begins. `row` is 0 for a constant.
template <class T>
struct Place {
    T* at = nullptr;
    long row = 0, line = 0;
    T* of(long b) const { return at + b * row; }
};

template <class T>
struct Step {
    void (*run)(const Step&, long rows, long threads) = nullptr;
    Place<T> places[ProgramStep::most_places];
    long width = 0, groups = 1, other = 0;
    T n = 0, m = 0;
    // Of linear: its panels (of the stored type), scales, bias, and where it lays out its rows; of a layer: its dense rows;
    // of gather: its table in place of the panels.
    void* panels = nullptr;
    T *scales = nullptr, *bias = nullptr, *scratch = nullptr, *dense = nullptr;
    LiveLayer* layer = nullptr;
};

// The places of an op that has so many, to be named.
template <size_t count, class T>
const Place<T> (&first_places(const Step<T>& step))[count] {
    return reinterpret_cast<const Place<T>(&)[count]>(step.places);
}

// What a panel of two vectors writes past the end of a row.
template <class T>
constexpr long slack = 2 * lanes<T>;

template <class T, class Stored>
struct Linear {
    static constexpr long L = lanes<T>;

    // Panels of a group, numbers in them, and columns that they have.
    static long panels(const Step<T>& step) { return (blocks<T>(step.other) + 1) / 2; }
    static long size(const Step<T>& step) { return panels(step) * panel_size<T>(blocks<T>(step.width)); }
    static long columns(const Step<T>& step) { return panels(step) * 2 * L; }

    static void pack(Step<T>& step, Arena& arena, const ProgramStep& from) {
        Stored* panels = arena.take<Stored>(step.groups * size(step));
        step.panels = panels;
        if (scaled<Stored>) step.scales = arena.take<T>(step.groups * columns(step));
        const T* weight = Problem<T>::at(from.weight);
        for (long group = 0; group < step.groups; ++group, weight += step.other * step.width) {
            const Packed<T, Stored> to{panels + group * size(step), step.scales + group * columns(step)};
            pack_columns(to, blocks<T>(step.other), step.width, [&](long vector, long lane) {
                const long column = vector * L + lane;
                return column < step.other ? weight + column * step.width : nullptr;
            });
        }
        step.scratch = arena.take<T>(chunk_size<T>(blocks<T>(step.width)));
        if (!from.bias) return;
        step.bias = arena.zeros<T>(step.groups * step.other + slack<T>);
        std::copy_n(Problem<T>::at(from.bias), step.groups * step.other, step.bias);
    }

    // A panel may write past its group, where the next one follows, or past the row, where there is slack.
    static void run(const Step<T>& step, long rows, long) {
        const auto [x, y] = std::pair(step.places[0], step.places[1]);
        const long kblocks = blocks<T>(step.width);
        for (long first = 0; first < rows; first += row_slots) {
            const long here = std::min<long>(row_slots, rows - first);
            for (long group = 0; group < step.groups; ++group) {
                for (long row = 0; row < here; ++row) {
                    const T* from = x.of(first + row) + group * step.width;
                    for (long block = 0; block < kblocks; ++block)
                        store(step.scratch + (block * row_slots + row) * L, load(from + block * L, step.width - block * L));
                }
                multiply(step, group, kblocks, here, y.of(first) + group * step.other, y.row);
            }
        }
    }

private:
    static void multiply(const Step<T>& step, long group, long kblocks, long rows, T* y, long stride) {
        const Stored* panel = static_cast<const Stored*>(step.panels) + group * size(step);
        const T* bias = step.bias ? step.bias + group * step.other : nullptr;
        for (long column = 0; column < step.other; column += 2 * L, panel += panel_size<T>(kblocks)) {
            const T* start = bias && !scaled<Stored> ? bias + column : nullptr;
            tiles<T, Stored>[rows - 1](step.scratch, panel, kblocks, y + column, stride, start);
            if constexpr (!scaled<Stored>) continue;
            const T* scales = step.scales + group * columns(step) + column;
            for (long row = 0; row < rows; ++row)
                for (long j = 0; j < 2 * L; j += L) {
                    T* at = y + row * stride + column + j;
                    const Vector<T> value = load(at) * load(scales + j);
                    store(at, bias ? value + load(bias + column + j) : value);
                }
        }
    }
};

template <class T>
void run_layer(const Step<T>& step, long rows, long threads) {
    T *x = step.scratch, *y = step.dense;
    for (long b = 0; b < rows; ++b) std::copy_n(step.places[0].of(b), step.width, x + b * step.width);
    step.layer->step(x, y, 1, threads);
    for (long b = 0; b < rows; ++b) std::copy_n(y + b * step.other, step.other, step.places[1].of(b));
}

template <class T>
void run_window(const Step<T>& step, long rows, long) {
    const auto& [x, weight, bias, past, y] = first_places<5>(step);
    const long lines = step.other;
    for (long b = 0; b < rows; ++b) {
        for (long j = 0; j < step.width; j += lanes<T>) {
            const Vector<T> fresh = load(x.of(b) + j);
            Vector<T> sum = load(bias.of(b) + j) + load(weight.of(b) + lines * weight.line + j) * fresh;
            T* at = past.of(b) + j;
            for (long line = 0; line < lines; ++line, at += past.line) {
                sum += load(weight.of(b) + line * weight.line + j) * load(at);
                store(at, line + 1 < lines ? load(at + past.line) : fresh);
            }
            store(y.of(b) + j, sum, step.width - j);
        }
    }
}

template <class T>
void run_slstm(const Step<T>& step, long rows, long) {
    const auto& [i, f, z, o, h, c, n, m, y] = first_places<9>(step);
    const bool exponential = step.other == 1;
    for (long b = 0; b < rows; ++b) {
        for (long j = 0; j < step.width; j += lanes<T>) {
            const Vector<T> written = load(i.of(b) + j), forget = load(f.of(b) + j), old = load(n.of(b) + j);
            const Vector<T> kept = (exponential ? forget : log_sigmoid<T>(forget)) + load(m.of(b) + j);
            const Vector<T> larger = kept > written ? kept : written;
            // A unit that has seen nothing keeps nothing, and its m counts for nothing.
            const Vector<T> size = old == T(0) ? written : larger;
            const Vector<T> keep = exponential_of<T>(old == T(0) ? Vector<T>{} : kept - size);
            const Vector<T> write = exponential_of<T>(written - size);
            const Vector<T> memory = keep * load(c.of(b) + j) + write * tanh<T>(load(z.of(b) + j));
            const Vector<T> count = keep * old + write;
            const Vector<T> out = sigmoid<T>(load(o.of(b) + j)) * memory / count;
            const long left = step.width - j;
            store(c.of(b) + j, memory, left);
            store(n.of(b) + j, count, left);
            store(m.of(b) + j, size, left);
            store(h.of(b) + j, out, left);
            store(y.of(b) + j, out, left);
        }
    }
}

// A head's matrix state is walked a vector of values at a time.
template <class T, class Body>
void each_vector(long values, Body body) {
    for (long j = 0; j < values; j += lanes<T>) body(j, values - j);
}

// The sum of term(line), in several parts that do not wait for one another.
template <class T, class Term>
UNROLLED_INLINE Vector<T> sum_lines(long lines, Term term) {
    Vector<T> first = {}, second = {}, third = {}, fourth = {};
    long line = 0;
    for (; line + 4 <= lines; line += 4) {
        first += term(line);
        second += term(line + 1);
        third += term(line + 2);
        fourth += term(line + 3);
    }
    for (; line < lines; ++line) first += term(line);
    return (first + second) + (third + fourth);
}

template <class T>
void run_mlstm(const Step<T>& step, long rows, long) {
    const auto& [q, k, v, i, f, c, n, m, y] = first_places<9>(step);
    const long keys = step.width, values = step.other;
    const T scale = T(1) / std::sqrt(static_cast<T>(keys));
    for (long b = 0; b < rows; ++b) {
        for (long head = 0; head < step.groups; ++head) {
            const T forget = f.of(b)[head], written = i.of(b)[head];
            const T kept = std::min(forget, T(0)) - std::log1p(std::exp(-std::abs(forget))) + m.of(b)[head];
            const T size = kept > written ? kept : written;
            const T keep = std::exp(kept - size), write = std::exp(written - size) * scale;
            m.of(b)[head] = size;
            const T *query = q.of(b) + head * keys, *key = k.of(b) + head * keys;
            T *count = n.of(b) + head * n.line, *memory = c.of(b) + head * keys * c.line;
            Vector<T> counted = {};
            for (long j = 0; j < keys; j += lanes<T>) {
                const Vector<T> now = keep * load(count + j) + write * load(key + j);
                store(count + j, now, keys - j);
                counted += cut<T>(load(query + j) * now, keys - j);
            }
            const T divisor = std::max(std::abs(sum<T>(counted)), std::exp(-size));
            each_vector<T>(values, [&](long j, long left) {
                const Vector<T> value = write * load(v.of(b) + head * values + j);
                const Vector<T> read = sum_lines<T>(keys, [&](long line) {
                    T* at = memory + line * c.line + j;
                    const Vector<T> now = keep * load(at) + key[line] * value;
                    store(at, now);
                    return query[line] * now;
                });
                store(y.of(b) + head * values + j, read / divisor, left);
            });
        }
    }
}

template <class T>
void run_delta(const Step<T>& step, long rows, long) {
    const auto& [q, decay, k, v, a, b, s, y] = first_places<8>(step);
    const long keys = step.width, values = step.other;
    for (long row = 0; row < rows; ++row) {
        for (long head = 0; head < step.groups; ++head) {
            const long first = head * keys;
            const T *query = q.of(row) + first, *keep = decay.of(row) + first, *key = k.of(row) + first;
            const T *found_at = a.of(row) + first, *added_at = b.of(row) + first;
            each_vector<T>(values, [&](long j, long left) {
                const Vector<T> value = load(v.of(row) + head * values + j);
                T* memory = s.of(row) + first * s.line + j;
                const Vector<T> found =
                    sum_lines<T>(keys, [&](long line) { return found_at[line] * load(memory + line * s.line); });
                const Vector<T> read = sum_lines<T>(keys, [&](long line) {
                    T* at = memory + line * s.line;
                    const Vector<T> now = keep[line] * load(at) + (added_at[line] * found + key[line] * value);
                    store(at, now);
                    return query[line] * now;
                });
                store(y.of(row) + head * values + j, read, left);
            });
        }
    }
}

template <class T>
T total(const T* x, long width) {
    Vector<T> found = {};
    for (long j = 0; j < width; j += lanes<T>) found += cut<T>(load(x + j), width - j);
    return sum<T>(found);
}

template <class T>
T total_squares(const T* x, long width, T mean) {
    Vector<T> found = {};
    for (long j = 0; j < width; j += lanes<T>) {
        const Vector<T> apart = load(x + j) - mean;
        found += cut<T>(apart * apart, width - j);
    }
    return sum<T>(found);
}

template <class T>
void run_gather(const Step<T>& step, long rows, long) {
    const T* table = static_cast<const T*>(step.panels);
    for (long b = 0; b < rows; ++b) {
        const T number = *step.places[0].of(b);
        T* y = step.places[1].of(b);
        // A comparison with NaN is false too.
        if (number > T(-1) && number < static_cast<T>(step.other)) {
            std::copy_n(table + static_cast<long>(number) * step.width, step.width, y);
        } else {
            std::fill_n(y, step.width, std::numeric_limits<T>::quiet_NaN());
        }
    }
}

template <class T>
void run_group_sum(const Step<T>& step, long rows, long) {
    for (long b = 0; b < rows; ++b)
        for (long group = 0; group < step.groups; ++group)
            step.places[1].of(b)[group] = total(step.places[0].of(b) + group * step.width, step.width);
}

template <class T>
void run_group_max(const Step<T>& step, long rows, long) {
    for (long b = 0; b < rows; ++b)
        for (long group = 0; group < step.groups; ++group) {
            const T* x = step.places[0].of(b) + group * step.width;
            step.places[1].of(b)[group] = *std::max_element(x, x + step.width);
        }
}

template <class T>
void run_spread(const Step<T>& step, long rows, long) {
    for (long b = 0; b < rows; ++b)
        for (long group = 0; group < step.groups; ++group)
            std::fill_n(step.places[1].of(b) + group * step.width, step.width, step.places[0].of(b)[group]);
}

// The factor and the mean that a norm takes of a group.
template <class T, ProgramOp op>
void run_norm(const Step<T>& step, long rows, long) {
    const T count = static_cast<T>(step.width);
    for (long b = 0; b < rows; ++b) {
        for (long group = 0; group < step.groups; ++group) {
            const T* x = step.places[0].of(b) + group * step.width;
            T* y = step.places[1].of(b) + group * step.width;
            const T mean = op == ProgramOp::layer_norm ? total(x, step.width) / count : T(0);
            const T squares = total_squares(x, step.width, mean);
            T divisor;
            if constexpr (op == ProgramOp::unit_norm) {
                divisor = std::max(std::sqrt(squares), step.n);
            } else if constexpr (op == ProgramOp::l2_norm) {
                divisor = std::sqrt(squares + step.n);
            } else {
                divisor = std::sqrt(squares / count + step.n);
            }
            const T factor = T(1) / divisor;
            for (long j = 0; j < step.width; j += lanes<T>)
                store(y + j, (load(x + j) - mean) * factor, step.width - j);
        }
    }
}

template <class T, int operands, class Function>
void run_points(const Step<T>& step, long rows, long) {
    const Place<T>* places = step.places;
    for (long b = 0; b < rows; ++b) {
        for (long j = 0; j < step.width; j += lanes<T>) {
            const Vector<T> x = load(places[0].of(b) + j);
            Vector<T> value;
            if constexpr (operands == 1) {
                value = Function::of(x, step.n, step.m);
            } else if constexpr (operands == 2) {
                value = Function::of(x, load(places[1].of(b) + j));
            } else {
                value = Function::of(x, load(places[1].of(b) + j), load(places[2].of(b) + j));
            }
            store(places[operands].of(b) + j, value, step.width - j);
        }
    }
}

template <class T>
class Program final : public LiveLayer {
public:
    explicit Program(const ProgramCall& call) : batch_(call.batch), input_(call.input), output_(call.output) {
        for (void* layer : call.layers) layers_.emplace_back(static_cast<LiveLayer*>(layer));
        for (const ProgramBuffer& buffer : call.buffers) add_buffer(buffer);
        for (const ProgramLeaf& leaf : call.leaves) leaves_.push_back(leaf);
        for (const ProgramStep& step : call.steps) add_step(step, call.stored);
        y_ = place(call.y);
    }

    void step(const void* x, void* y, long time, long threads) override {
        const T* from = static_cast<const T*>(x);
        T* to = static_cast<T*>(y);
        const Place<T> first = buffers_[0].place;
        for (long t = 0; t < time; ++t) {
            for (long b = 0; b < batch_; ++b, from += input_) std::copy_n(from, input_, first.of(b));
            for (const Step<T>& one : steps_) one.run(one, batch_, threads);
            for (long b = 0; b < batch_; ++b, to += output_) std::copy_n(y_.of(b), output_, to);
        }
    }

    void get(const LiveState& state) override {
        each_leaf(state, [](T* inside, T* outside, long width) { std::copy_n(inside, width, outside); },
                  [](LiveLayer& layer, const LiveState& own) { layer.get(own); });
    }
    void set(const LiveState& state) override {
        each_leaf(state, [](T* inside, T* outside, long width) { std::copy_n(outside, width, inside); },
                  [](LiveLayer& layer, const LiveState& own) { layer.set(own); });
    }

private:
    struct Held {
        Place<T> place;
        long lines, width;
    };
    long batch_, input_, output_;
    Arena arena_;
    std::vector<std::unique_ptr<LiveLayer>> layers_;
    std::vector<Held> buffers_;
    std::vector<ProgramLeaf> leaves_;
    std::vector<Step<T>> steps_;
    Place<T> y_;

    void add_buffer(const ProgramBuffer& buffer) {
        const long line = padded<T>(buffer.width), row = buffer.lines * line + slack<T>;
        Held held{{nullptr, buffer.address ? 0 : row, line}, buffer.lines, buffer.width};
        held.place.at = arena_.template zeros<T>(buffer.address ? row : batch_ * row);
        for (long i = 0; buffer.address && i < buffer.lines; ++i)
            std::copy_n(Problem<T>::at(buffer.address) + i * buffer.width, buffer.width, held.place.at + i * line);
        buffers_.push_back(held);
    }
    Place<T> place(const ProgramPlace& from) const {
        const Held& held = buffers_[from.buffer];
        Place<T> found = held.place;
        // What has no width stands at the end of its only line.
        const long line = held.lines > 1 ? from.offset / held.width : 0;
        found.at += line * found.line + from.offset - line * held.width;
        return found;
    }

    void add_step(const ProgramStep& from, long stored) {
        Step<T>& step = steps_.emplace_back();
        for (int i = 0; i < ProgramStep::most_places; ++i)
            if (from.places[i].buffer >= 0) step.places[i] = place(from.places[i]);
        step.width = from.sizes[0];
        step.groups = from.sizes[1];
        step.other = from.sizes[2];
        step.n = static_cast<T>(from.numbers[0]);
        step.m = static_cast<T>(from.numbers[1]);
        const ProgramOp op = static_cast<ProgramOp>(from.op);
        if (op == ProgramOp::linear) {
            prepare_linear(step, from, stored);
        } else if (op == ProgramOp::gather) {
            T* table = arena_.template take<T>(step.other * step.width);
            std::copy_n(Problem<T>::at(from.weight), step.other * step.width, table);
            step.panels = table;
        } else if (op == ProgramOp::layer) {
            step.layer = layers_.at(static_cast<size_t>(from.weight)).get();
            step.scratch = arena_.template take<T>(batch_ * step.width);
            step.dense = arena_.template take<T>(batch_ * step.other);
        }
        if (op != ProgramOp::linear) step.run = runner(op);
    }
    template <class Stored>
    void prepare(Step<T>& step, const ProgramStep& from) {
        Linear<T, Stored>::pack(step, arena_, from);
        step.run = Linear<T, Stored>::run;
    }
    void prepare_linear(Step<T>& step, const ProgramStep& from, long stored) {
        if constexpr (std::is_same_v<T, float>) {
            if (stored == 1) return prepare<uint16_t>(step, from);
            if (stored == 2) return prepare<int8_t>(step, from);
        }
        prepare<T>(step, from);
    }

    static auto runner(ProgramOp op) -> void (*)(const Step<T>&, long, long) {
        switch (op) {
            case ProgramOp::linear: return nullptr;
            case ProgramOp::layer: return run_layer<T>;
            case ProgramOp::window: return run_window<T>;
            case ProgramOp::slstm: return run_slstm<T>;
            case ProgramOp::mlstm: return run_mlstm<T>;
            case ProgramOp::delta: return run_delta<T>;
            case ProgramOp::gather: return run_gather<T>;
            case ProgramOp::group_sum: return run_group_sum<T>;
            case ProgramOp::group_max: return run_group_max<T>;
            case ProgramOp::spread: return run_spread<T>;
            case ProgramOp::layer_norm: return run_norm<T, ProgramOp::layer_norm>;
            case ProgramOp::rms_norm: return run_norm<T, ProgramOp::rms_norm>;
            case ProgramOp::unit_norm: return run_norm<T, ProgramOp::unit_norm>;
            case ProgramOp::l2_norm: return run_norm<T, ProgramOp::l2_norm>;
#define X(name)             \
    case ProgramOp::name: \
        return run_points<T, 1, point::name<T>>;
            UNROLLED_PROGRAM_UNARY(X)
#undef X
#define X(name)             \
    case ProgramOp::name: \
        return run_points<T, 2, point::name<T>>;
            UNROLLED_PROGRAM_BINARY(X)
#undef X
#define X(name)             \
    case ProgramOp::name: \
        return run_points<T, 3, point::name<T>>;
            UNROLLED_PROGRAM_TERNARY(X)
#undef X
        }
        return nullptr;
    }

    template <class Move, class Pass>
    void each_leaf(const LiveState& state, Move move, Pass pass) {
        for (size_t i = 0; i < leaves_.size(); ++i) {
            const ProgramLeaf& leaf = leaves_[i];
            if (leaf.layer >= 0) {
                // A layer's leaves follow one another.
                const size_t begin = i;
                while (i + 1 < leaves_.size() && leaves_[i + 1].layer == leaf.layer) ++i;
                pass(*layers_[leaf.layer], {state.leaves + begin, static_cast<int64_t>(i + 1 - begin), state.rows, state.count});
                continue;
            }
            const Held& held = buffers_[leaf.buffer];
            for (long row = 0; row < state.count; ++row) {
                T* inside = held.place.of(state.rows ? state.rows[row] : row);
                T* outside = static_cast<T*>(state.leaves[i]) + row * held.lines * held.width;
                for (long line = 0; line < held.lines; ++line)
                    move(inside + line * held.place.line, outside + line * held.width, held.width);
            }
        }
    }
};

}  // namespace

void* program_create(const ProgramCall& call) {
    LiveLayer* made = call.type == 1 ? static_cast<LiveLayer*>(new Program<double>(call)) : new Program<float>(call);
    return made;
}

}  // namespace unrolled::UNROLLED_LEVEL
