# NVIDIA's Triton with the shipped model repository and what its Python backend needs.
#   docker build -f deploy/docker/triton.Dockerfile -t watchword-triton .
# On a GPU, mount another repository and name it: tritonserver --model-repository=/repository/current
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:25.08-py3

FROM ${TRITON_IMAGE}
COPY deploy/docker/triton.txt /opt/watchword/triton.txt
RUN pip install --no-cache-dir --no-deps --require-hashes --target /opt/watchword/python -r /opt/watchword/triton.txt
COPY triton_models /opt/watchword/triton_models
COPY pipeline/models/engines/backend /opt/watchword/pipeline/models/engines/backend
COPY pipeline/bundles /opt/watchword/pipeline/bundles
ENV PYTHONPATH=/opt/watchword/python \
    HOME=/tmp \
    OMP_NUM_THREADS=1
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000 8001 8002
CMD ["tritonserver", "--model-repository=/opt/watchword/triton_models", "--exit-timeout-secs=25"]
