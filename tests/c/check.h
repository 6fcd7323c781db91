/* Shared by the clients of this folder: checks that exit on failure, and constructors of common handles. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mimo_vl.h"

#define CHECK(condition) \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), exit(1)))

static const char PROMPT[] = "What is in the picture?";
static const char *checkpoint;
static const char *image_path;

/* Exits unless the call succeeded. */
static inline void ok_at(int line, mimo_vl_status status, mimo_vl_error **error) {
    if (status != MIMO_VL_STATUS_OK) {
        mimo_vl_str message;
        mimo_vl_error_message(*error, &message);
        fprintf(stderr, "%s:%d: status %d: %s\n", __FILE__, line, (int)status, message.data);
        exit(1);
    }
    CHECK(*error == NULL);
}
#define OK(call) ok_at(__LINE__, (call), &error)

/* Exits unless the call failed with `expected` and a message that contains `word`; frees the error. */
static inline void fails_at(int line, mimo_vl_status status, mimo_vl_status expected, const char *word,
                            mimo_vl_error **error) {
    mimo_vl_str message;
    mimo_vl_error_message(*error, &message);
    if (status != expected || *error == NULL || mimo_vl_error_code(*error) != expected ||
        message.data[message.len] != '\0' || strlen(message.data) != message.len ||
        strstr(message.data, word) == NULL) {
        fprintf(stderr, "%s:%d: status %d instead of %d, or \"%s\" does not contain \"%s\"\n", __FILE__, line,
                (int)status, (int)expected, message.data, word);
        exit(1);
    }
    mimo_vl_error_free(*error);
    *error = NULL;
}
#define FAILS(call, status, word) fails_at(__LINE__, (call), (status), (word), &error)

static inline mimo_vl_model *load_model(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_model *model;
    OK(mimo_vl_model_load(checkpoint, NULL, &model, &error));
    return model;
}

static inline mimo_vl_session *new_session(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session;
    OK(mimo_vl_session_new(model, &session, &error));
    return session;
}

/* A prompt with or without an image (NULL), answered without thinking. */
static inline mimo_vl_prompt *new_prompt(const mimo_vl_image *image) {
    mimo_vl_error *error = NULL;
    mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
    if (image != NULL) {
        OK(mimo_vl_prompt_add_image(prompt, image, &error));
    }
    OK(mimo_vl_prompt_add_text(prompt, PROMPT, strlen(PROMPT), &error));
    OK(mimo_vl_prompt_set_thinking(prompt, MIMO_VL_THINKING_OFF, &error));
    return prompt;
}

static inline mimo_vl_generate_options *max_tokens(size_t tokens) {
    mimo_vl_generate_options *options = mimo_vl_generate_options_new();
    OK(mimo_vl_generate_options_set_max_tokens(options, tokens, &error));
    return options;
}

/* Reads the arguments of every client: CLIENT CHECKPOINT IMAGE. */
static inline void read_arguments(int count, char **arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: %s CHECKPOINT IMAGE\n", arguments[0]);
        exit(2);
    }
    checkpoint = arguments[1];
    image_path = arguments[2];
}

#endif
