// SPDX-License-Identifier: MIT
//
// A table of options: name, what its value should be, and a function that takes it.
#include "options.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace leak {

namespace {

template <class Number>
std::optional<Number> number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

bool take_recording(const char* value, Options& options) {
    options.recording = value;
    return *value != '\0';
}

bool take_speed(const char* value, Options& options) {
    options.speed = std::nullopt;
    if (std::string_view{value} == "max") return true;
    options.speed = number<double>(value);
    return options.speed && *options.speed > 0 && *options.speed <= Options::speed_max;
}

bool take_seconds(const char* value, Options& options) {
    options.seconds = number<std::int64_t>(value);
    return options.seconds && *options.seconds > 0;
}

bool take_leak_at(const char* value, Options& options) {
    options.leak_at_s = number<std::int64_t>(value);
    return options.leak_at_s && *options.leak_at_s >= std::int64_t{learning_samples};
}

bool take_seed(const char* value, Options& options) {
    const auto seed = number<std::uint64_t>(value);
    options.seed = seed.value_or(0);
    return seed.has_value();
}

bool take_backend(const char* value, Options& options) {
    options.backend = value;
    return *value != '\0';
}

bool take_score_file(const char* value, Options& options) {
    if (*value == '\0' || options.score_files_count == Options::score_files_max) return false;
    options.score_files[options.score_files_count++] = value;
    return true;
}

bool take_log(const char* value, Options& options) {
    options.log = value;
    return *value != '\0';
}

bool take_config(const char* value, Options& options) {
    options.config = value;
    return *value != '\0';
}

bool take_user(const char* value, Options& options) {
    options.user = value;
    return *value != '\0';
}

bool take_user_base(const char* value, Options& options) {
    options.user_base = number<std::uint32_t>(value);
    return options.user_base && *options.user_base >= 1 && *options.user_base <= 4'000'000'000;
}

/// One of the users at the other end of something.
template <std::int64_t Options::*user>
bool take_other_user(const char* value, Options& options) {
    const auto taken = number<std::uint32_t>(value);
    options.*user = taken ? static_cast<std::int64_t>(*taken) : -1;
    return taken.has_value();
}

bool take_directory(const char* value, Options& options) {
    options.directory = value;
    return *value == '/';
}

bool take_number(const char* value, Options& options) {
    const auto taken = number<std::uint32_t>(value);
    options.number = taken.value_or(0);
    return taken && *taken < Options::score_files_max;
}

bool take_descriptor(const char* value, Options& options) {
    options.descriptor = number<int>(value).value_or(-1);
    return options.descriptor >= 3;
}

bool take_page_descriptor(const char* value, Options& options) {
    options.page_descriptor = number<int>(value).value_or(-1);
    return options.page_descriptor >= 3;
}

bool take_alarm_descriptor(const char* value, Options& options) {
    options.alarm_descriptor = number<int>(value).value_or(-1);
    return options.alarm_descriptor >= 3;
}

bool take_listen(const char* value, Options& options) {
    options.listen = value;
    return *value != '\0';
}

bool take_page_port(const char* value, Options& options) {
    const auto port = number<std::uint16_t>(value);
    options.page_port = port.value_or(0);
    return port.has_value();
}

bool take_alarm_port(const char* value, Options& options) {
    const auto port = number<std::uint16_t>(value);
    options.alarm_port = port.value_or(0);
    return port.has_value();
}

bool take_signal(const char* value, Options& options) {
    const auto taken = number<std::uint32_t>(value);
    options.signal = taken.value_or(0);
    return taken && *taken < signals_count;
}

bool take_from(const char* value, Options& options) {
    const auto taken = number<std::uint64_t>(value);
    options.from = taken.value_or(0);
    return taken.has_value();
}

bool take_labelled(const char* value, Options& options) {
    options.labelled = true;
    return std::string_view{value} == "yes";
}

struct Option {
    enum class Kind : std::uint8_t { one_value, many_values, between_programs };

    std::string_view name;
    std::string_view expected;
    bool (*take)(const char* value, Options& options);
    Kind kind = Kind::one_value;
};

static_assert(learning_samples == 400 && Options::score_files_max == 64, "the texts say so");

constexpr std::array options_known{
    Option{"--recording", "the path of a recording", take_recording},
    Option{"--speed", "a number above 0 and up to 1000000, or max", take_speed},
    Option{"--seconds", "a whole number of seconds above 0", take_seconds},
    Option{"--leak-at", "a whole number of seconds, at least 400 (before that it is learned as normal)",
           take_leak_at},
    Option{"--seed", "a whole number from 0 to 18446744073709551615", take_seed},
    Option{"--backend", "the name of a backend", take_backend},
    Option{"--score", "the paths of 1 to 64 labelled recordings", take_score_file, Option::Kind::many_values},
    Option{"--log", "the path of a file", take_log},
    Option{"--config", "the path of a file of settings", take_config},
    Option{"--user", "a user's name or number", take_user},
    Option{"--user-base", "a user's number from 1 to 4000000000", take_user_base},
    Option{"--listen", "the number of an IPv4 or IPv6 address", take_listen},
    Option{"--page-port", "a port from 0 to 65535", take_page_port},
    Option{"--alarm-port", "a port from 0 to 65535", take_alarm_port},
    Option{"--directory", "an absolute path", take_directory, Option::Kind::between_programs},
    Option{"--number", "a whole number below 64", take_number, Option::Kind::between_programs},
    Option{"--peer-user", "a user's number", take_other_user<&Options::peer_user>,
           Option::Kind::between_programs},
    Option{"--viewer-user", "a user's number", take_other_user<&Options::viewer_user>,
           Option::Kind::between_programs},
    Option{"--logger-user", "a user's number", take_other_user<&Options::logger_user>,
           Option::Kind::between_programs},
    Option{"--descriptor", "a descriptor of 3 or more", take_descriptor, Option::Kind::between_programs},
    Option{"--page-descriptor", "a descriptor of 3 or more", take_page_descriptor,
           Option::Kind::between_programs},
    Option{"--alarm-descriptor", "a descriptor of 3 or more", take_alarm_descriptor,
           Option::Kind::between_programs},
    Option{"--labelled", "yes", take_labelled, Option::Kind::between_programs},
    Option{"--signal", "a number from 0 to 7", take_signal, Option::Kind::between_programs},
    Option{"--from", "a whole number", take_from, Option::Kind::between_programs},
};

/// What a word that begins with `--` says: its option and, after `=`, a value.
struct Word {
    std::string_view name;
    const char* value;
};

Word taken_apart(const char* argument) {
    const std::string_view text{argument};
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) return {text, nullptr};
    return {text.substr(0, equals), argument + equals + 1};
}

bool is_option(const char* argument) {
    return std::string_view{argument}.starts_with("--");
}

OptionsError expected(const Option& option, std::string_view got) {
    OptionsError error;
    error.append(option.name).append(": ").append(got);
    error.append(", expected ").append(option.expected);
    return error;
}

OptionsError exclusion(std::string_view left, std::string_view right, std::string_view why) {
    OptionsError error;
    error.append(left).append(" cannot be combined with ").append(right).append(": ").append(why);
    return error;
}

OptionsError check_exclusions(const Options& options, std::span<const bool> given) {
    const auto has = [&given](std::string_view name) {
        for (std::size_t i = 0; i < options_known.size(); ++i) {
            if (options_known[i].name == name) return given[i];
        }
        return false;
    };
    constexpr std::string_view one_source = "give either a recording, files to score, or a simulated loop";
    if (has("--recording") && options.leak_at_s) return exclusion("--leak-at", "--recording", one_source);
    if (has("--recording") && has("--seed")) return exclusion("--seed", "--recording", one_source);
    if (!has("--score")) return {};
    if (has("--log")) return exclusion("--log", "--score", "what is scored is recorded already");
    if (has("--config")) {
        return exclusion("--config", "--score", "scoring is done with the threshold as it is learned");
    }
    for (const std::string_view name : {"--recording", "--leak-at", "--seed"}) {
        if (has(name)) return exclusion(name, "--score", one_source);
    }
    for (const std::string_view name : {"--speed", "--seconds"}) {
        if (has(name)) return exclusion(name, "--score", "scoring reads whole files as fast as possible");
    }
    return {};
}

}  // namespace

std::string_view options_help() {
    return "  --recording FILE   replay a recording; without it the loop is simulated\n"
           "  --speed N|max      N seconds of loop time per second (20; with --leak-at max), or as fast as "
           "possible\n"
           "  --seconds N        stop after N seconds of loop time\n"
           "  --leak-at T        simulated loop: a leak opens at loop time T (at least 400 s)\n"
           "  --seed N           simulated loop: its noise (1)\n"
           "  --score FILE...    score detection on labelled recordings\n"
           "  --log FILE         write the samples to a new file, as a recording\n"
           "  --config FILE      settings, read again on SIGHUP: lines `threshold X` and `clients N`\n"
           "  --listen ADDRESS   where page and alarms are served by TCP (127.0.0.1)\n"
           "  --page-port N      the page's port (0: any that is free)\n"
           "  --alarm-port N     the alarms' port (0: any that is free)\n"
           "  --user NAME        as root: the one user that all other processes become\n"
           "  --user-base N      as root: or the first of the four that they become (61000)\n"
           "  --backend NAME     which of weir's backends to use\n"
           "  --help             this text\n";
}

OptionsError parse_options(std::span<const char* const> arguments, Options& options) {
    options = Options{};
    std::array<bool, options_known.size()> given{};
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const Word word = taken_apart(arguments[i]);
        if (word.name == "--help" && word.value == nullptr) {
            options.help = true;
            continue;
        }
        const auto option = std::find_if(options_known.begin(), options_known.end(),
                                         [&word](const Option& known) { return known.name == word.name; });
        if (option == options_known.end()) {
            OptionsError error;
            error.append_quoted(arguments[i], 64)
                .append(is_option(arguments[i]) ? " is no option" : " is no option's");
            error.append(is_option(arguments[i]) ? ", expected one of" : " value, expected one of");
            for (const Option& known : options_known) {
                if (known.kind != Option::Kind::between_programs) error.append(' ').append(known.name);
            }
            error.append(" --help");
            return error;
        }
        bool& is_given = given[static_cast<std::size_t>(option - options_known.begin())];
        if (is_given) {
            OptionsError error;
            error.append(option->name).append(" is given twice, expected once");
            return error;
        }
        is_given = true;

        const char* value = word.value;
        if (value == nullptr && i + 1 < arguments.size() && !is_option(arguments[i + 1]))
            value = arguments[++i];
        if (value == nullptr) return expected(*option, "no value");
        do {
            if (!option->take(value, options)) {
                return expected(*option, BoundedText<96>{}.append_quoted(value, 64).view());
            }
            const bool more = option->kind == Option::Kind::many_values && i + 1 < arguments.size() &&
                              !is_option(arguments[i + 1]);
            value = more ? arguments[++i] : nullptr;
        } while (value != nullptr);
    }
    const auto given_speed = std::find_if(options_known.begin(), options_known.end(),
                                          [](const Option& known) { return known.name == "--speed"; });
    const bool hurries = options.leak_at_s.has_value() || options.score_files_count > 0;
    if (hurries && !given[static_cast<std::size_t>(given_speed - options_known.begin())]) {
        options.speed = std::nullopt;
    }
    return check_exclusions(options, given);
}

}  // namespace leak
