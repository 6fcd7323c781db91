/* Generates the same answer with one call and as a stream, and prints the seconds of both, one line per pair.
 * Used by bindings.py.
 *
 *     bindings MODEL IMAGE PAIRS TOKENS EOS_TOKEN_ID... */
#define _POSIX_C_SOURCE 199309L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mimo_vl.h"

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void check(mimo_vl_status status) {
    if (status != MIMO_VL_STATUS_OK) {
        fprintf(stderr, "status %d\n", (int)status);
        exit(1);
    }
}

int main(int count, char **arguments) {
    if (count < 6) return 2;
    mimo_vl_load_options *load_options = mimo_vl_load_options_new();
    mimo_vl_model *model;
    mimo_vl_image *image;
    check(mimo_vl_load_options_set_weights(load_options, MIMO_VL_WEIGHT_FORMAT_INT8, NULL));
    check(mimo_vl_model_load(arguments[1], load_options, &model, NULL));
    check(mimo_vl_image_from_path(arguments[2], &image, NULL));
    mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
    check(mimo_vl_prompt_add_image(prompt, image, NULL));
    check(mimo_vl_prompt_add_text(prompt, "What?", 5, NULL));
    check(mimo_vl_prompt_set_thinking(prompt, MIMO_VL_THINKING_OFF, NULL));
    mimo_vl_generate_options *options = mimo_vl_generate_options_new();
    check(mimo_vl_generate_options_set_max_tokens(options, (size_t)atoi(arguments[4]), NULL));
    check(mimo_vl_generate_options_set_num_draft_tokens(options, 0, NULL));
    for (int index = 5; index < count; index++) {
        check(mimo_vl_generate_options_add_logit_bias(options, (uint32_t)atoi(arguments[index]), -INFINITY, NULL));
    }
    for (int pair = 0; pair < atoi(arguments[3]); pair++) {
        mimo_vl_session *session;
        mimo_vl_answer *answer;
        mimo_vl_stream *stream;
        mimo_vl_event_kind kind;
        mimo_vl_str text;
        check(mimo_vl_session_new(model, &session, NULL));
        double start = now();
        check(mimo_vl_session_ask(session, prompt, options, &answer, NULL));
        double call = now() - start;
        mimo_vl_answer_free(answer);
        check(mimo_vl_session_reset(session, NULL));
        start = now();
        check(mimo_vl_session_stream(session, prompt, options, &stream, NULL));
        do {
            check(mimo_vl_stream_next(stream, &kind, &text, NULL));
        } while (kind != MIMO_VL_EVENT_KIND_END);
        printf("%.9f %.9f\n", call, now() - start);
        mimo_vl_stream_free(stream);
        mimo_vl_session_free(session);
    }
    return 0;
}
