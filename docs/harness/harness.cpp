// A dense layer and its LRP rules behind the wire protocol (docs/protocol.md): a harness to start your own from.
//
//     g++ -std=c++17 -O2 -ffp-contract=off harness.cpp -o harness     (Debian: g++ and nlohmann-json3-dev)
//     lrp-conform run --command ./harness
//
// To judge a library, let `propagate` call it, and let `info` say what it can be asked; the rest is the protocol.
// Rules, stabilisers and bias modes are those of golden/README.md, section 3. T is the configured dtype: every
// operation is rounded to it, and -ffp-contract=off forbids the compiler to fuse two of them.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <valarray>
#include <vector>

using nlohmann::json;
using Run = std::function<json(const json& x, const json& relevance)>;  // a prepared layer with its rule
template <class T> using Values = std::valarray<T>;  // a vector, or a matrix row by row
struct Unsupported : std::runtime_error { using std::runtime_error::runtime_error; };

json info() {
    return {{"name", "harness.cpp"}, {"version", "1.0"}, {"dtypes", {"float64", "float32"}}, {"features", {
        "op.dense", "rule.zero", "rule.epsilon", "rule.alpha-beta", "rule.alpha1-beta0", "rule.z-plus", "rule.z-plus-fast",
        "rule.gamma", "rule.generalized-gamma", "rule.w-square", "rule.flat", "rule.z-box", "rule.alpha-beta-x", "rule.abs-z",
        "rule.norm", "rule.gradient", "quadrants.several", "bounds.scalar", "bounds.channel", "bounds.array",
        "bias.absorb", "bias.split", "bias.ignore", "bias.square", "bias.raw", "bias.full_in_both", "bias.share",
        "bias.redistribute", "stabilizer.none", "stabilizer.signed_add", "stabilizer.unsigned_add", "stabilizer.clip",
        "stabilizer.replace_zero", "sign_at_zero.0", "sign_at_zero.-1"}}};
}

// strtod reads hexadecimal floats, decimals, "nan" and "inf" exactly, and "%a" writes them; a NaN has no sign here.
double number(const json& text) {
    const std::string& digits = text.get_ref<const std::string&>();
    char* end;
    const double value = std::strtod(digits.c_str(), &end);
    return digits.empty() || *end ? throw std::invalid_argument("expected a number, got \"" + digits + "\"") : value;
}

template <class T> Values<T> values(const json& texts) {
    Values<T> out(texts.size());
    std::transform(texts.begin(), texts.end(), std::begin(out), [](const json& text) { return T(number(text)); });
    return out;
}

template <class T> json tensor(const Values<T>& matrix, size_t rows) {
    json texts = json::array();
    for (const double value : matrix) {
        char text[32];
        std::snprintf(text, sizeof text, "%a", value);
        texts.push_back(std::isnan(value) ? "nan" : text);
    }
    return {{"dtype", sizeof(T) == 4 ? "float32" : "float64"}, {"shape", {rows, matrix.size() / rows}}, {"data", texts}};
}

template <class T> T pos(T a) { return a > 0 ? a : T(0); }
template <class T> T neg(T a) { return a < 0 ? a : T(0); }
template <class T> Values<T> pos(const Values<T>& a) { return a.apply(pos<T>); }
template <class T> Values<T> neg(const Values<T>& a) { return a.apply(neg<T>); }

// What the inputs contribute to one output, what belongs to its bias, and a factor.
template <class T> struct Part { Values<T> n; T c; T f = 1; };

// The parts of a rule for one output: its weights w, the inputs x and their bounds, its bias b, and its value y.
template <class T> std::vector<Part<T>> parts(const json& rule, const Values<T>& w, const Values<T>& x,
                                              const Values<T>& low, const Values<T>& high, T b, T y) {
    const std::string name = rule.at("rule");
    const auto parameter = [&](const char* key) { return T(number(rule.at(key))); };
    const Values<T> z = w * x;
    if (name == "zero" || name == "epsilon") return {{z, b}};
    if (name == "norm") return {{z, 0}};
    if (name == "flat") return {{Values<T>(T(1), x.size()), 0}};
    if (name == "gradient") return {{w, 0}};
    if (name == "w-square") return {{w * w, b * b}};
    if (name == "abs-z") return {{std::abs(z), std::abs(b)}};
    if (name == "z-plus") return {{pos(z), pos(b)}};
    if (name == "z-plus-fast") return {{pos(w) * x, pos(b)}};
    if (name == "z-box") return {{z - pos(w) * low - neg(w) * high, 0}};
    if (name == "alpha-beta") return {{pos(z), pos(b), parameter("alpha")}, {neg(z), neg(b), -parameter("beta")}};
    if (name == "alpha-beta-x")
        return {{pos(w) * pos(x), pos(b), parameter("alpha0")}, {neg(w) * neg(x), neg(b), parameter("alpha1")},
                {neg(w) * pos(x), neg(b), -parameter("beta0")}, {pos(w) * neg(x), pos(b), -parameter("beta1")}};
    if (name != "gamma" && name != "generalized-gamma") throw Unsupported("rule " + name);
    const T g = parameter("gamma");
    if (name == "gamma") return {{(w + g * pos(w)) * x, b + g * pos(b)}};
    if (y > 0) return {{z + g * pos(z), b + g * pos(b)}};
    if (y < 0) return {{z + g * neg(z), b + g * neg(b)}};
    return {};  // relevance that arrives where y = 0 is dropped
}

template <class T> T stabilised(const json& stabilizer, T d) {
    const std::string kind = stabilizer.at("kind");
    const T epsilon = T(number(stabilizer.at("epsilon")));
    const T sign = d > 0 ? T(1) : d < 0 ? T(-1) : stabilizer.at("sign_at_zero").get<T>();
    if (kind == "none") return d;
    if (kind == "signed_add") return d + epsilon * sign;
    if (kind == "unsigned_add") return d + epsilon;
    if (kind == "replace_zero") return d == 0 ? epsilon : d;
    if (kind == "clip") return sign * std::max(std::abs(d), epsilon);
    throw Unsupported("stabilizer " + kind);
}

// The bounds of z-box for one sample: a number, one per channel, or an array of the shape of x.
template <class T> Values<T> bound(const json& rule, const char* name, size_t sample, size_t inputs) {
    Values<T> out(inputs);
    const json given = rule.value(name, json("0")), texts = given.is_string() ? json::array({given}) : given.at("data");
    for (size_t i = 0; i < inputs; ++i) out[i] = T(number(texts.at((sample * inputs + i) % texts.size())));
    return out;
}

// ==== YOUR LIBRARY: replace the body of this function by a call of it ================================================
// weight (out, in), bias (out), x (N, in), arriving relevance R (N, out) -> y (N, out), relevance at the inputs (N, in).
template <class T> std::pair<Values<T>, Values<T>> propagate(const Values<T>& weight, const Values<T>& bias, const json& rule,
                                                             const Values<T>& x, const Values<T>& R) {
    const size_t outs = bias.size(), ins = weight.size() / outs;
    const std::string mode = rule.at("bias");
    Values<T> y(R.size()), received(x.size());
    for (size_t k = 0; k < y.size(); ++k) {  // output j of a sample
        const size_t sample = k / outs, j = k % outs;
        const std::slice here(sample * ins, ins, 1);
        const Values<T> w = weight[std::slice(j * ins, ins, 1)], inputs = x[here];
        const Values<T> low = bound<T>(rule, "low", sample, ins), high = bound<T>(rule, "high", sample, ins);
        const T z = Values<T>(w * inputs).sum(), size = std::abs(z) + std::abs(bias[j]);
        y[k] = z + bias[j];
        const T arrived = mode == "share" && size != 0 ? std::abs(z) / size * R[k] : R[k];
        const T b = mode == "ignore" || mode == "share" ? T(0) : bias[j];
        Values<T> handed(ins);
        for (const Part<T>& part : parts(rule, w, inputs, low, high, b, y[k])) {
            const T c = mode == "raw" || mode == "full_in_both" ? b : part.c, d = part.n.sum() + c;
            const T D = rule["rule"] == "gradient" ? T(1) : stabilised(rule.at("stabilizer"), d);
            if (D == 0) continue;  // dropped
            const T share = part.f * arrived / D;
            handed += part.n * share;
            if (mode == "redistribute") handed += (c + (D - d)) * share / T(ins);
        }
        received[here] += handed;
    }
    return {y, received};
}

// The protocol --------------------------------------------------------------------------------------------------------

template <class T> Run prepare(const json& nodes, const json& rules) {
    if (nodes.size() != 1 || nodes[0].at("op") != "dense") throw Unsupported("one dense layer at a time");
    const json& params = nodes[0].at("params");
    const json rule = rules.at(nodes[0].at("name"));
    const size_t outs = params.at("weight").at("shape").at(0);
    const auto weight = values<T>(params["weight"].at("data"));
    const auto bias = params.contains("bias") ? values<T>(params["bias"].at("data")) : Values<T>(outs);
    return [=](const json& x, const json& R) -> json {
        const size_t samples = x.at("shape").at(0);
        if (x.at("data").size() * outs != samples * weight.size() || R.at("data").size() != samples * outs)
            throw std::invalid_argument("the shapes of weight, x and relevance do not fit");
        const auto [y, relevance] = propagate(weight, bias, rule, values<T>(x["data"]), values<T>(R["data"]));
        return {{"y", tensor(y, samples)}, {"relevance", tensor(relevance, samples)}};
    };
}

json answer(const json& request) {
    static std::string dtype = "float64";
    static std::vector<Run> prepared;
    const std::string op = request.at("op");
    if (op == "hello") return {{"info", info()}};
    if (op == "configure") {
        dtype = request.at("dtype");
        if (dtype != "float64" && dtype != "float32") throw Unsupported("dtype " + dtype);
        return {{"ok", true}, {"effective", {{"threads", 1}}}};
    }
    if (op == "prepare") {
        prepared.push_back((dtype == "float32" ? prepare<float> : prepare<double>)(request.at("nodes"), request.at("rules")));
        return {{"handle", prepared.size() - 1}};
    }
    if (op == "run") return prepared.at(request.at("handle"))(request.at("x"), request.at("relevance"));
    if (op == "release") prepared.at(request.at("handle")) = nullptr;
    if (op == "release" || op == "bye") return {{"ok", true}};
    throw std::invalid_argument("unknown op " + op);
}

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        json request, reply;
        try {
            request = json::parse(line);
            reply = answer(request);
        } catch (const Unsupported& why) {
            reply = {{"unsupported", why.what()}};
        } catch (const std::exception& error) {
            reply = {{"error", {{"type", "std::exception"}, {"message", error.what()}}}};
        }
        reply["seq"] = request.is_object() ? request.value("seq", json()) : json();
        std::cout << reply.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
        if (request.is_object() && request.value("op", json()) == "bye") return 0;
    }
}
