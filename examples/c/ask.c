/* Answers a prompt about images, in C. The answer is streamed to the standard output.
 *
 * examples/src/bin/ask.rs does the same in Rust and has more options; it also accepts `--option=value`, `--` as the end
 * of the options, and Ctrl-C. An error is one line on stderr and exit status 1; wrong usage is status 2. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mimo_vl.h"

static const char USAGE[] =
    "usage: ask [OPTION]... [IMAGE]... PROMPT\n"
    "\n"
    "Answer a prompt about images on the standard output.\n"
    "\n"
    "  --model PATH         checkpoint directory or GGUF file (default: examples/models/mimo-vl-tiny)\n"
    "  --device NAME        cpu, ndarray or cuda:0 (default: cpu)\n"
    "  --no-think           answer without thinking\n"
    "  --show-thinking      print the thinking even if the output is not a terminal\n"
    "  --max-tokens N       maximum tokens of the answer, thinking included (default: 4096)\n"
    "  --max-pixels N       downscale each image to at most N pixels\n"
    "  --temperature T      sampling temperature; 0 is greedy (default: 0)\n"
    "  --seed N             seed of the sampler (default: 0)\n"
    "  --stats              print timings to the standard error\n"
    "  --help               print this text\n";

struct arguments {
    const char *model, *device, *prompt;
    char **images; /* Points into argv. */
    int image_count;
    uint32_t max_pixels; /* 0: the model's default. */
    bool no_think, show_thinking, stats;
    mimo_vl_generate_options *options;
};

static void wrong_usage(const char *option, const char *reason) {
    fprintf(stderr, "ask: %s%s\n\n%s", option, reason, USAGE);
    exit(2);
}

/* Exits with the library's message unless `status` is OK. */
static void check(mimo_vl_status status, mimo_vl_error **error) {
    if (status != MIMO_VL_STATUS_OK) {
        mimo_vl_str message;
        mimo_vl_error_message(*error, &message);
        fprintf(stderr, "ask: %s\n", message.data);
        exit(1);
    }
}

static unsigned long long integer(const char *option, const char *text, unsigned long long max) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || strchr(text, '-') != NULL || number > max) {
        wrong_usage(option, " takes an integer in range");
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
        mimo_vl_generate_options_set_max_tokens(arguments->options, integer(option, value, SIZE_MAX));
    } else if (strcmp(option, "--max-pixels") == 0) {
        arguments->max_pixels = (uint32_t)integer(option, value, UINT32_MAX);
    } else if (strcmp(option, "--temperature") == 0) {
        mimo_vl_generate_options_set_temperature(arguments->options, number(option, value));
    } else if (strcmp(option, "--seed") == 0) {
        mimo_vl_generate_options_set_seed(arguments->options, integer(option, value, UINT64_MAX));
    } else {
        wrong_usage(option, " is unknown");
    }
}

static struct arguments parse(int argc, char **argv) {
    struct arguments arguments = {.model = "examples/models/mimo-vl-tiny", .device = "cpu", .images = argv};
    arguments.options = mimo_vl_generate_options_new();
    int words = 0; /* Images and prompt, which move to the front of argv. */
    for (int at = 1; at < argc; at++) {
        if (strncmp(argv[at], "--", 2) != 0) {
            argv[words++] = argv[at];
        } else if (!set_flag(&arguments, argv[at])) {
            const char *option = argv[at++];
            set_value(&arguments, option, at < argc ? argv[at] : NULL);
        }
    }
    if (words == 0) {
        wrong_usage("", "no prompt");
    }
    arguments.image_count = words - 1;
    arguments.prompt = argv[words - 1];
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
    check(mimo_vl_prompt_add_text(prompt, arguments->prompt, strlen(arguments->prompt), &error), &error);
    int thinking = arguments->no_think ? MIMO_VL_THINKING_OFF : MIMO_VL_THINKING_AUTO;
    check(mimo_vl_prompt_set_thinking(prompt, thinking, &error), &error);
    return prompt;
}

/* Prints the answer as it is generated. Thinking is dimmed on a terminal and left out elsewhere unless requested. */
static void print_answer(mimo_vl_stream *stream, bool show_thinking) {
    mimo_vl_error *error;
    mimo_vl_event_kind kind;
    mimo_vl_str text;
    bool terminal = isatty(STDOUT_FILENO), in_thinking = false;
    do {
        check(mimo_vl_stream_next(stream, &kind, &text, &error), &error);
        if (kind == MIMO_VL_EVENT_KIND_THINKING && (terminal || show_thinking)) {
            fputs(terminal ? "\033[2m" : "", stdout);
            fwrite(text.data, 1, text.len, stdout);
            fputs(terminal ? "\033[0m" : "", stdout);
            in_thinking = true;
        } else if (kind == MIMO_VL_EVENT_KIND_TEXT) {
            fputs(in_thinking ? "\n\n" : "", stdout);
            fwrite(text.data, 1, text.len, stdout);
            in_thinking = false;
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
        fputs("ask: library and header have different versions\n", stderr);
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
    check(mimo_vl_session_stream(session, prompt, arguments.options, &stream, &error), &error);
    print_answer(stream, arguments.show_thinking);
    check(mimo_vl_stream_finish(stream, &answer, &error), &error);
    if (arguments.stats) {
        print_stats(answer);
    }
    if (mimo_vl_answer_stop_reason(answer) == MIMO_VL_STOP_REASON_MAX_TOKENS) {
        fprintf(stderr, "ask: the answer was cut off after %zu tokens\n", mimo_vl_answer_tokens(answer));
    } else if (mimo_vl_answer_stop_reason(answer) == MIMO_VL_STOP_REASON_CONTEXT_FULL) {
        fputs("ask: the answer was cut off: the context is full\n", stderr);
    }
    mimo_vl_answer_free(answer);
    mimo_vl_stream_free(stream);
    mimo_vl_session_free(session);
    mimo_vl_model_free(model);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(arguments.options);
    return 0;
}
