/* A client of libmimo_vl: cancellation before a call, while it runs, and at many moments around its start.
 *
 *     cancel CHECKPOINT IMAGE
 *
 * The environment variable CANCEL_TRIES is the number of moments; default 300. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "check.h"

/* The end tokens of the checkpoint in tests/data/tiny. */
static const uint32_t EOS_TOKEN_IDS[] = {480, 482};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Options of an answer that would take minutes and is complete only if its cancel was lost. */
static mimo_vl_generate_options *without_end(const mimo_vl_cancel_token *token) {
    mimo_vl_error *error = NULL;
    mimo_vl_generate_options *options = max_tokens(30000);
    for (size_t index = 0; index < sizeof EOS_TOKEN_IDS / sizeof *EOS_TOKEN_IDS; index++) {
        OK(mimo_vl_generate_options_add_logit_bias(options, EOS_TOKEN_IDS[index], -INFINITY, &error));
    }
    OK(mimo_vl_generate_options_set_timeout(options, 60, &error));
    OK(mimo_vl_generate_options_set_cancel(options, token, &error));
    return options;
}

static void a_cancel_before_the_call_counts(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_cancel_token *token = mimo_vl_cancel_token_new();
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(NULL);
    mimo_vl_generate_options *options = max_tokens(4);
    mimo_vl_load_options *load_options = mimo_vl_load_options_new();
    mimo_vl_model *loaded;
    mimo_vl_answer *answer;
    mimo_vl_stream *stream;
    mimo_vl_batch *batch;
    mimo_vl_event_kind kind;
    size_t number;
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    size_t prompt_tokens = mimo_vl_answer_prompt_tokens(answer);
    mimo_vl_answer_free(answer);
    OK(mimo_vl_session_reset(session, &error));

    CHECK(!mimo_vl_cancel_token_is_cancelled(token));
    mimo_vl_cancel_token_cancel(token);
    mimo_vl_cancel_token_cancel(token);
    CHECK(mimo_vl_cancel_token_is_cancelled(token));
    OK(mimo_vl_generate_options_set_cancel(options, token, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
    FAILS(mimo_vl_session_stream(session, prompt, options, &stream, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
    CHECK(answer == NULL && stream == NULL);
    OK(mimo_vl_load_options_set_cancel(load_options, token, &error));
    FAILS(mimo_vl_model_load(checkpoint, load_options, &loaded, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
    OK(mimo_vl_batch_new(model, 2, token, &batch, &error));
    OK(mimo_vl_batch_add(batch, prompt, NULL, &number, &error));
    FAILS(mimo_vl_batch_next(batch, &number, &kind, NULL, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
    CHECK(number == 0);
    mimo_vl_batch_free(batch);

    /* Without the token the same call succeeds, and the cancelled prompts have left nothing in the conversation. */
    OK(mimo_vl_generate_options_set_cancel(options, NULL, &error));
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    CHECK(mimo_vl_answer_prompt_tokens(answer) == prompt_tokens);
    mimo_vl_answer_free(answer);
    mimo_vl_load_options_free(load_options);
    mimo_vl_generate_options_free(options);
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
    mimo_vl_cancel_token_free(token);
}

static void *cancel_at_once(void *token) {
    mimo_vl_cancel_token_cancel(token);
    return NULL;
}

static void another_thread_cancels_a_stream(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_cancel_token *token = mimo_vl_cancel_token_new();
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(NULL);
    mimo_vl_generate_options *options = without_end(token), *few = max_tokens(4);
    mimo_vl_stream *stream;
    mimo_vl_answer *answer;
    mimo_vl_event_kind kind;
    mimo_vl_str text;
    pthread_t thread;

    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    mimo_vl_generate_options_free(options);
    CHECK(pthread_create(&thread, NULL, cancel_at_once, token) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    /* The stream keeps what it needs of the token. */
    mimo_vl_cancel_token_free(token);
    mimo_vl_status status = MIMO_VL_STATUS_OK;
    for (int events = 0; status == MIMO_VL_STATUS_OK; events++) {
        CHECK(events < 10);
        status = mimo_vl_stream_next(stream, &kind, &text, &error);
    }
    FAILS(status, MIMO_VL_STATUS_CANCELLED, "cancelled");
    FAILS(mimo_vl_stream_next(stream, &kind, &text, &error), MIMO_VL_STATUS_OPTION, "stream");
    FAILS(mimo_vl_stream_stop(stream, &error), MIMO_VL_STATUS_OPTION, "stream");
    FAILS(mimo_vl_stream_finish(stream, &answer, &error), MIMO_VL_STATUS_OPTION, "stream");
    CHECK(answer == NULL);

    /* The next prompt is not affected. */
    OK(mimo_vl_session_ask(session, prompt, few, &answer, &error));
    mimo_vl_answer_free(answer);
    mimo_vl_stream_free(stream);
    mimo_vl_session_free(session);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(few);
}

/* The thread that cancels one try, `delay` seconds after the start. */
struct canceller {
    mimo_vl_cancel_token *token;
    double delay;
    atomic_bool started;
};

static void *cancel_after_delay(void *data) {
    struct canceller *canceller = data;
    while (!atomic_load(&canceller->started)) {
        sched_yield();
    }
    double start = now();
    while (now() - start < canceller->delay) {
        sched_yield();
    }
    mimo_vl_cancel_token_cancel(canceller->token);
    return NULL;
}

static void no_cancel_is_lost_at_any_moment(const mimo_vl_model *model) {
    const double span = 0.003;
    const char *setting = getenv("CANCEL_TRIES");
    const int tries = setting == NULL ? 300 : atoi(setting);
    CHECK(tries > 0);
    mimo_vl_error *error = NULL;
    mimo_vl_prompt *prompt = new_prompt(NULL);
    for (int index = 0; index < tries; index++) {
        mimo_vl_session *session = new_session(model);
        mimo_vl_answer *answer;
        /* The delays are in an order without a pattern. */
        struct canceller canceller = {.token = mimo_vl_cancel_token_new(), .delay = index * 389 % tries * span / tries};
        mimo_vl_generate_options *options = without_end(canceller.token);
        pthread_t thread;
        atomic_init(&canceller.started, false);
        CHECK(pthread_create(&thread, NULL, cancel_after_delay, &canceller) == 0);
        atomic_store(&canceller.started, true);
        FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
        CHECK(pthread_join(thread, NULL) == 0);
        mimo_vl_generate_options_free(options);
        mimo_vl_cancel_token_free(canceller.token);
        mimo_vl_session_free(session);
    }
    mimo_vl_prompt_free(prompt);
}

static mimo_vl_cancel_token *signalled;

static void on_signal(int number) {
    (void)number;
    mimo_vl_cancel_token_cancel(signalled);
}

static int32_t raise_signal(void *data, mimo_vl_stage stage, uint64_t done, uint64_t total) {
    (void)data, (void)done, (void)total;
    CHECK(stage == MIMO_VL_STAGE_PREFILL && raise(SIGUSR1) == 0);
    return MIMO_VL_CONTINUE;
}

static void a_signal_handler_cancels(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(NULL);
    mimo_vl_answer *answer;
    signalled = mimo_vl_cancel_token_new();
    mimo_vl_generate_options *options = without_end(signalled);
    OK(mimo_vl_generate_options_set_progress(options, raise_signal, NULL, &error));
    CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
    CHECK(mimo_vl_cancel_token_is_cancelled(signalled));
    signal(SIGUSR1, SIG_DFL);
    mimo_vl_cancel_token_free(signalled);
    mimo_vl_generate_options_free(options);
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
}

int main(int count, char **arguments) {
    read_arguments(count, arguments);
    mimo_vl_model *model = load_model();
    a_cancel_before_the_call_counts(model);
    another_thread_cancels_a_stream(model);
    no_cancel_is_lost_at_any_moment(model);
    a_signal_handler_cancels(model);
    mimo_vl_model_free(model);
    return 0;
}
