/* Ask a question about pictures, in C:
 *
 *     ask IMAGE... QUESTION [--model DIR] [--device NAME] [--no-think] [--max-tokens N] [--temperature T] [--seed S]
 *
 * The answer is printed while it is written. What the model thinks before is shown dimmed on a terminal, and left out
 * elsewhere. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mimo_vl.h"

static const char USAGE[] =
    "usage: ask IMAGE... QUESTION [--model DIR] [--device NAME] [--no-think] [--max-tokens N] [--temperature T] "
    "[--seed S]";

struct arguments {
    const char *model, *device, *question;
    char **images; /* Points into argv. */
    int image_count;
    bool no_think;
    mimo_vl_generate_options *generate;
};

static void stop(const char *reason, const char *detail) {
    fprintf(stderr, "ask: %s%s\n", reason, detail);
    exit(1);
}

/* Ends the program with the library's message unless `status` is OK. */
static void check(mimo_vl_status status, mimo_vl_error *error) {
    if (status != MIMO_VL_STATUS_OK) {
        mimo_vl_str message;
        mimo_vl_error_message(error, &message);
        stop("", message.data);
    }
}

static unsigned long long whole_number(const char *option, const char *text) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || strchr(text, '-') != NULL) {
        stop(option, " takes a whole number");
    }
    return number;
}

static float number(const char *option, const char *text) {
    char *end;
    float value = strtof(text, &end);
    if (end == text || *end != '\0') {
        stop(option, " takes a number");
    }
    return value;
}

static struct arguments parse(int argc, char **argv) {
    struct arguments arguments = {.model = "examples/models/mimo-vl-tiny", .device = "cpu", .images = argv};
    arguments.generate = mimo_vl_generate_options_new();
    int words = 0; /* Images and question, moved to the front of argv. */
    for (int at = 1; at < argc; at++) {
        const char *option = argv[at];
        if (strncmp(option, "--", 2) != 0) {
            argv[words++] = argv[at];
            continue;
        }
        if (strcmp(option, "--no-think") == 0) {
            arguments.no_think = true;
            continue;
        }
        if (strcmp(option, "--help") == 0) {
            puts(USAGE);
            exit(0);
        }
        const char *value = ++at < argc ? argv[at] : NULL;
        if (value == NULL) {
            stop(option, " is unknown or lacks its value");
        } else if (strcmp(option, "--model") == 0) {
            arguments.model = value;
        } else if (strcmp(option, "--device") == 0) {
            arguments.device = value;
        } else if (strcmp(option, "--max-tokens") == 0) {
            mimo_vl_generate_options_set_max_tokens(arguments.generate, whole_number(option, value));
        } else if (strcmp(option, "--temperature") == 0) {
            mimo_vl_generate_options_set_temperature(arguments.generate, number(option, value));
        } else if (strcmp(option, "--seed") == 0) {
            mimo_vl_generate_options_set_seed(arguments.generate, whole_number(option, value));
        } else {
            stop(option, " is unknown");
        }
    }
    if (words < 2) {
        stop(USAGE, "");
    }
    arguments.image_count = words - 1;
    arguments.question = argv[words - 1];
    return arguments;
}

static mimo_vl_model *load(const struct arguments *arguments) {
    mimo_vl_error *error;
    mimo_vl_model *model;
    mimo_vl_load_options *options = mimo_vl_load_options_new();
    check(mimo_vl_load_options_set_device(options, arguments->device, &error), error);
    check(mimo_vl_model_load(arguments->model, options, &model, &error), error);
    mimo_vl_load_options_free(options);
    return model;
}

static mimo_vl_prompt *build_prompt(const struct arguments *arguments) {
    mimo_vl_error *error;
    mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
    for (int at = 0; at < arguments->image_count; at++) {
        mimo_vl_image *image;
        check(mimo_vl_image_from_path(arguments->images[at], &image, &error), error);
        check(mimo_vl_prompt_add_image(prompt, image, &error), error);
        mimo_vl_image_free(image);
    }
    check(mimo_vl_prompt_add_text(prompt, arguments->question, strlen(arguments->question), &error), error);
    check(mimo_vl_prompt_set_thinking(
              prompt, arguments->no_think ? MIMO_VL_THINKING_OFF : MIMO_VL_THINKING_AUTO, &error),
          error);
    return prompt;
}

static void print_answer(mimo_vl_stream *stream) {
    mimo_vl_error *error;
    mimo_vl_event_kind kind;
    mimo_vl_str text;
    bool terminal = isatty(STDOUT_FILENO), dimmed = false;
    do {
        check(mimo_vl_stream_next(stream, &kind, &text, &error), error);
        bool thinking = kind == MIMO_VL_EVENT_KIND_THINKING;
        if (terminal && thinking != dimmed) {
            fputs(thinking ? "\033[2m" : "\033[0m\n", stdout);
            dimmed = thinking;
        }
        if (terminal || !thinking) {
            fwrite(text.data, 1, text.len, stdout);
            fflush(stdout);
        }
    } while (kind != MIMO_VL_EVENT_KIND_END);
    putchar('\n');
}

int main(int argc, char **argv) {
    if (mimo_vl_abi_version() != MIMO_VL_ABI_VERSION) {
        stop("the library is of another version than the header", "");
    }
    struct arguments arguments = parse(argc, argv);
    mimo_vl_prompt *prompt = build_prompt(&arguments);
    mimo_vl_model *model = load(&arguments);
    mimo_vl_error *error;
    mimo_vl_session *session;
    mimo_vl_stream *stream;
    check(mimo_vl_session_new(model, &session, &error), error);
    check(mimo_vl_session_stream(session, prompt, arguments.generate, &stream, &error), error);
    print_answer(stream);
    mimo_vl_stream_free(stream);
    mimo_vl_session_free(session);
    mimo_vl_model_free(model);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(arguments.generate);
    return 0;
}
