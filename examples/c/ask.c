/* Ask a question about pictures, in C; the answer goes to the standard output while it is written.
 *
 * Its sister in Rust, examples/src/bin/ask.rs, has the same options; it also understands values behind `=`, `--` as
 * the end of the options, and Ctrl-C. Errors are one line on stderr and exit status 1, wrong usage is status 2. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mimo_vl.h"

static const char USAGE[] =
    "usage: ask [OPTION]... [IMAGE]... QUESTION\n"
    "\n"
    "Ask a question about pictures; the answer goes to the standard output.\n"
    "\n"
    "  --model DIR          checkpoint directory (default: examples/models/mimo-vl-tiny)\n"
    "  --device NAME        cpu, ndarray or cuda:0 (default: cpu)\n"
    "  --no-think           answer at once\n"
    "  --show-thinking      write the thinking even when the output is not a terminal\n"
    "  --max-tokens N       most tokens of the answer, thinking included\n"
    "  --max-pixels N       shrink each picture to at most N pixels\n"
    "  --temperature T      0 always takes the most likely token (default)\n"
    "  --seed S             start of the random numbers\n"
    "  --stats              write timings to the standard error\n"
    "  --help               write this text\n";

struct arguments {
    const char *model, *device, *question;
    char **images; /* Points into argv. */
    int image_count;
    uint32_t max_pixels; /* 0: as many as the model takes. */
    bool no_think, show_thinking, stats;
    mimo_vl_generate_options *generate;
};

static void wrong_usage(const char *option, const char *reason) {
    fprintf(stderr, "ask: %s%s\n\n%s", option, reason, USAGE);
    exit(2);
}

/* Ends the program with the library's message unless `status` is OK. */
static void check(mimo_vl_status status, mimo_vl_error **error) {
    if (status != MIMO_VL_STATUS_OK) {
        mimo_vl_str message;
        mimo_vl_error_message(*error, &message);
        fprintf(stderr, "ask: %s\n", message.data);
        exit(1);
    }
}

static unsigned long long whole_number(const char *option, const char *text, unsigned long long most) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || strchr(text, '-') != NULL || number > most) {
        wrong_usage(option, " takes a whole number that fits");
    }
    return number;
}

static float number(const char *option, const char *text) {
    char *end;
    float value = strtof(text, &end);
    if (end == text || *end != '\0') {
        wrong_usage(option, " takes a number");
    }
    return value;
}

static bool set_flag(struct arguments *arguments, const char *option) {
    if (strcmp(option, "--no-think") == 0) {
        return arguments->no_think = true;
    } else if (strcmp(option, "--show-thinking") == 0) {
        return arguments->show_thinking = true;
    } else if (strcmp(option, "--stats") == 0) {
        return arguments->stats = true;
    } else if (strcmp(option, "--help") == 0) {
        fputs(USAGE, stdout);
        exit(0);
    }
    return false;
}

static void set_value(struct arguments *arguments, const char *option, const char *value) {
    mimo_vl_generate_options *generate = arguments->generate;
    mimo_vl_error *error;
    if (value == NULL) {
        wrong_usage(option, " is unknown, or needs a value");
    } else if (strcmp(option, "--model") == 0) {
        arguments->model = value;
    } else if (strcmp(option, "--device") == 0) {
        arguments->device = value;
    } else if (strcmp(option, "--max-tokens") == 0) {
        size_t tokens = whole_number(option, value, SIZE_MAX);
        check(mimo_vl_generate_options_set_max_tokens(generate, tokens, &error), &error);
    } else if (strcmp(option, "--max-pixels") == 0) {
        arguments->max_pixels = (uint32_t)whole_number(option, value, UINT32_MAX);
    } else if (strcmp(option, "--temperature") == 0) {
        check(mimo_vl_generate_options_set_temperature(generate, number(option, value), &error), &error);
    } else if (strcmp(option, "--seed") == 0) {
        check(mimo_vl_generate_options_set_seed(generate, whole_number(option, value, UINT64_MAX), &error), &error);
    } else {
        wrong_usage(option, " is unknown");
    }
}

static struct arguments parse(int argc, char **argv) {
    struct arguments arguments = {.model = "examples/models/mimo-vl-tiny", .device = "cpu", .images = argv};
    arguments.generate = mimo_vl_generate_options_new();
    int words = 0; /* Images and question, which move to the front of argv. */
    for (int at = 1; at < argc; at++) {
        if (strncmp(argv[at], "--", 2) != 0) {
            argv[words++] = argv[at];
        } else if (!set_flag(&arguments, argv[at])) {
            const char *option = argv[at++];
            set_value(&arguments, option, at < argc ? argv[at] : NULL);
        }
    }
    if (words == 0) {
        wrong_usage("", "there is no question");
    }
    arguments.image_count = words - 1;
    arguments.question = argv[words - 1];
    return arguments;
}

static mimo_vl_model *load(const struct arguments *arguments) {
    mimo_vl_error *error;
    mimo_vl_model *model;
    mimo_vl_load_options *options = mimo_vl_load_options_new();
    check(mimo_vl_load_options_set_device(options, arguments->device, &error), &error);
    check(mimo_vl_model_load(arguments->model, options, &model, &error), &error);
    mimo_vl_load_options_free(options);
    return model;
}

static mimo_vl_prompt *build_prompt(const struct arguments *arguments) {
    mimo_vl_error *error;
    mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
    for (int at = 0; at < arguments->image_count; at++) {
        mimo_vl_image *image;
        check(mimo_vl_image_from_path(arguments->images[at], &image, &error), &error);
        if (arguments->max_pixels != 0) {
            check(mimo_vl_image_set_max_pixels(image, arguments->max_pixels, &error), &error);
        }
        check(mimo_vl_prompt_add_image(prompt, image, &error), &error);
        mimo_vl_image_free(image);
    }
    check(mimo_vl_prompt_add_text(prompt, arguments->question, strlen(arguments->question), &error), &error);
    int thinking = arguments->no_think ? MIMO_VL_THINKING_OFF : MIMO_VL_THINKING_AUTO;
    check(mimo_vl_prompt_set_thinking(prompt, thinking, &error), &error);
    return prompt;
}

/* Thinking is dimmed on a terminal, and left out elsewhere unless it is asked for. */
static void print_answer(mimo_vl_stream *stream, bool show_thinking) {
    mimo_vl_error *error;
    mimo_vl_event_kind kind;
    mimo_vl_str text;
    bool terminal = isatty(STDOUT_FILENO), thought = false;
    do {
        check(mimo_vl_stream_next(stream, &kind, &text, &error), &error);
        if (kind == MIMO_VL_EVENT_KIND_THINKING && (terminal || show_thinking)) {
            fputs(terminal ? "\033[2m" : "", stdout);
            fwrite(text.data, 1, text.len, stdout);
            fputs(terminal ? "\033[0m" : "", stdout);
            thought = true;
        } else if (kind == MIMO_VL_EVENT_KIND_TEXT) {
            fputs(thought ? "\n\n" : "", stdout);
            fwrite(text.data, 1, text.len, stdout);
            thought = false;
        }
        fflush(stdout);
    } while (kind != MIMO_VL_EVENT_KIND_END);
    putchar('\n');
}

static void print_stats(const mimo_vl_answer *answer) {
    static const char *const NAMES[] = {"load", "preprocess", "encode", "prefill", "decode"};
    for (int stage = MIMO_VL_STAGE_LOAD; stage <= MIMO_VL_STAGE_DECODE; stage++) {
        fprintf(stderr, "%-10s %8.3f s\n", NAMES[stage], mimo_vl_answer_seconds(answer, stage));
    }
    fprintf(stderr, "%zu tokens, %.1f tokens/s\n", mimo_vl_answer_tokens(answer),
            mimo_vl_answer_decode_tokens_per_second(answer));
}

int main(int argc, char **argv) {
    if (mimo_vl_abi_version() != MIMO_VL_ABI_VERSION) {
        fputs("ask: the library is of another version than the header\n", stderr);
        return 1;
    }
    struct arguments arguments = parse(argc, argv);
    mimo_vl_prompt *prompt = build_prompt(&arguments);
    mimo_vl_model *model = load(&arguments);
    mimo_vl_error *error;
    mimo_vl_session *session;
    mimo_vl_stream *stream;
    mimo_vl_answer *answer;
    check(mimo_vl_session_new(model, &session, &error), &error);
    check(mimo_vl_session_stream(session, prompt, arguments.generate, &stream, &error), &error);
    print_answer(stream, arguments.show_thinking);
    check(mimo_vl_stream_finish(stream, &answer, &error), &error);
    if (arguments.stats) {
        print_stats(answer);
    }
    if (mimo_vl_answer_stop_reason(answer) == MIMO_VL_STOP_REASON_MAX_TOKENS) {
        fprintf(stderr, "ask: the answer is cut off at %zu tokens\n", mimo_vl_answer_tokens(answer));
    } else if (mimo_vl_answer_stop_reason(answer) == MIMO_VL_STOP_REASON_CONTEXT_FULL) {
        fputs("ask: the answer is cut off: the context is full\n", stderr);
    }
    mimo_vl_answer_free(answer);
    mimo_vl_stream_free(stream);
    mimo_vl_session_free(session);
    mimo_vl_model_free(model);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(arguments.generate);
    return 0;
}
