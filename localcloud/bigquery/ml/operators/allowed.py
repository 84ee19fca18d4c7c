"""The operators that an imported model may use: those that compute.

BigQuery imports models with TensorFlow's core operators only, and runs them where they reach no files and no network:
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tensorflow#limitations
Google publishes no list of names, so the lists here name the operators that read and write nothing but their own
inputs, outputs, variables and tables. Everything that is not listed is refused.
"""

from __future__ import annotations

# TensorFlow's operators, by the file that registers them:
# https://github.com/tensorflow/tensorflow/tree/v2.21.0/tensorflow/core/ops
#
# Left out, because they reach beyond the model or are not for inference: files (io_ops, checkpoint_ops, dataset_ops,
# experimental_dataset_ops, and ImmutableConst, FixedUnigramCandidateSampler, RecordInput, DecodeProtoV2 and EncodeProto,
# which read files that an attribute names), code (script_ops), other processes and devices (rpc_ops, collective_ops,
# nccl_ops, sendrecv_ops, tpu_ops, RemoteCall, the Xla operators), summaries that are written (summary_ops), debugging
# (debug_ops), queues and batching across calls, and Abort, which ends the process.
_TENSORFLOW: dict[str, str] = {
    "array_ops": """
        BatchMatrixBandPart BatchMatrixDiag BatchMatrixDiagPart BatchMatrixSetDiag BatchToSpace BatchToSpaceND Bitcast
        BroadcastArgs BroadcastGradientArgs BroadcastTo CheckNumerics CheckNumericsV2 Concat ConcatOffset ConcatV2
        ConjugateTranspose Const DebugGradientIdentity DebugGradientRefIdentity DeepCopy DepthToSpace Dequantize Diag
        DiagPart EditDistance Empty EnsureShape ExpandDims ExtractImagePatches ExtractVolumePatches
        FakeQuantWithMinMaxArgs FakeQuantWithMinMaxArgsGradient FakeQuantWithMinMaxVars
        FakeQuantWithMinMaxVarsGradient FakeQuantWithMinMaxVarsPerChannel FakeQuantWithMinMaxVarsPerChannelGradient
        Fill Fingerprint Gather GatherNd GatherV2 GuaranteeConst Identity IdentityN InplaceAdd InplaceSub
        InplaceUpdate InvertPermutation ListDiff LowerBound MatrixBandPart MatrixDiag MatrixDiagPart MatrixDiagPartV2
        MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 MirrorPad
        MirrorPadGrad OneHot OnesLike Pack Pad PadV2 ParallelConcat Placeholder PlaceholderV2 PlaceholderWithDefault
        PreventGradient QuantizeAndDequantize QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4
        QuantizeAndDequantizeV4Grad QuantizeV2 QuantizedConcat QuantizedConcatV2 QuantizedInstanceNorm
        QuantizedReshape Rank RefIdentity Reshape ResourceStridedSliceAssign Reverse ReverseSequence ReverseV2
        ScatterNd ScatterNdNonAliasingAdd Shape ShapeN Size Slice Snapshot SpaceToBatch SpaceToBatchND SpaceToDepth
        Split SplitV Squeeze StopGradient StridedSlice StridedSliceAssign StridedSliceGrad TensorScatterAdd
        TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile TileGrad
        Transpose Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Unpack UnravelIndex UpperBound Where ZerosLike
    """,
    "audio_ops": """
        AudioSpectrogram DecodeWav EncodeWav Mfcc
    """,
    "bitwise_ops": """
        BitwiseAnd BitwiseOr BitwiseXor Invert LeftShift PopulationCount RightShift
    """,
    "boosted_trees_ops": """
        BoostedTreesAggregateStats BoostedTreesBucketize BoostedTreesCalculateBestFeatureSplit
        BoostedTreesCalculateBestFeatureSplitV2 BoostedTreesCalculateBestGainsPerFeature BoostedTreesCenterBias
        BoostedTreesCreateEnsemble BoostedTreesCreateQuantileStreamResource BoostedTreesDeserializeEnsemble
        BoostedTreesEnsembleResourceHandleOp BoostedTreesExampleDebugOutputs BoostedTreesFlushQuantileSummaries
        BoostedTreesGetEnsembleStates BoostedTreesMakeQuantileSummaries BoostedTreesMakeStatsSummary
        BoostedTreesPredict BoostedTreesQuantileStreamResourceAddSummaries
        BoostedTreesQuantileStreamResourceDeserialize BoostedTreesQuantileStreamResourceFlush
        BoostedTreesQuantileStreamResourceGetBucketBoundaries BoostedTreesQuantileStreamResourceHandleOp
        BoostedTreesSerializeEnsemble BoostedTreesSparseAggregateStats BoostedTreesSparseCalculateBestFeatureSplit
        BoostedTreesTrainingPredict BoostedTreesUpdateEnsemble BoostedTreesUpdateEnsembleV2
        IsBoostedTreesEnsembleInitialized IsBoostedTreesQuantileStreamResourceInitialized
    """,
    "candidate_sampling_ops": """
        AllCandidateSampler ComputeAccidentalHits LearnedUnigramCandidateSampler LogUniformCandidateSampler
        ThreadUnsafeUnigramCandidateSampler UniformCandidateSampler
    """,
    "clustering_ops": """
        KMC2ChainInitialization KmeansPlusPlusInitialization NearestNeighbors
    """,
    "composite_tensor_ops": """
        CompositeTensorVariantFromComponents CompositeTensorVariantToComponents
    """,
    "control_flow_ops": """
        ControlTrigger Enter Exit LoopCond Merge NextIteration NoOp RefEnter RefExit RefMerge RefNextIteration
        RefSelect RefSwitch Switch
    """,
    "count_ops": """
        DenseCountSparseOutput RaggedCountSparseOutput SparseCountSparseOutput
    """,
    "ctc_ops": """
        CTCBeamSearchDecoder CTCGreedyDecoder CTCLoss CTCLossV2
    """,
    "cudnn_rnn_ops": """
        CudnnRNN CudnnRNNBackprop CudnnRNNBackpropV2 CudnnRNNBackpropV3 CudnnRNNCanonicalToParams
        CudnnRNNCanonicalToParamsV2 CudnnRNNParamsSize CudnnRNNParamsToCanonical CudnnRNNParamsToCanonicalV2
        CudnnRNNV2 CudnnRNNV3
    """,
    "data_flow_ops": """
        DynamicPartition DynamicStitch ParallelDynamicStitch Stack StackClose StackCloseV2 StackPop StackPopV2
        StackPush StackPushV2 StackV2 TensorArray TensorArrayClose TensorArrayCloseV2 TensorArrayCloseV3
        TensorArrayConcat TensorArrayConcatV2 TensorArrayConcatV3 TensorArrayGather TensorArrayGatherV2
        TensorArrayGatherV3 TensorArrayGrad TensorArrayGradV2 TensorArrayGradV3 TensorArrayGradWithShape
        TensorArrayPack TensorArrayRead TensorArrayReadV2 TensorArrayReadV3 TensorArrayScatter TensorArrayScatterV2
        TensorArrayScatterV3 TensorArraySize TensorArraySizeV2 TensorArraySizeV3 TensorArraySplit TensorArraySplitV2
        TensorArraySplitV3 TensorArrayUnpack TensorArrayV2 TensorArrayV3 TensorArrayWrite TensorArrayWriteV2
        TensorArrayWriteV3
    """,
    "functional_ops": """
        Case DeviceIndex FakeParam For If PartitionedCall StatefulPartitionedCall StatelessCase StatelessIf
        StatelessWhile SymbolicGradient ToBool While
    """,
    "image_ops": """
        AdjustContrast AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression CropAndResize
        CropAndResizeGradBoxes CropAndResizeGradImage DecodeAndCropJpeg DecodeBmp DecodeGif DecodeImage DecodeJpeg
        DecodeJxl DecodePng DecodeWebP DrawBoundingBoxes DrawBoundingBoxesV2 EncodeJpeg EncodeJpegVariableQuality
        EncodePng ExtractGlimpse ExtractGlimpseV2 ExtractJpegShape GenerateBoundingBoxProposals HSVToRGB
        ImageProjectiveTransformV2 ImageProjectiveTransformV3 NonMaxSuppression NonMaxSuppressionV2
        NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps
        QuantizedResizeBilinear RGBToHSV RandomCrop ResizeArea ResizeBicubic ResizeBicubicGrad ResizeBilinear
        ResizeBilinearGrad ResizeNearestNeighbor ResizeNearestNeighborGrad SampleDistortedBoundingBox
        SampleDistortedBoundingBoxV2 ScaleAndTranslate ScaleAndTranslateGrad StatelessSampleDistortedBoundingBox
    """,
    "io_ops": "ShardedFilename ShardedFilespec",
    "linalg_ops": """
        BandedTriangularSolve BatchCholesky BatchCholeskyGrad BatchMatrixDeterminant BatchMatrixInverse
        BatchMatrixSolve BatchMatrixSolveLs BatchMatrixTriangularSolve BatchSelfAdjointEig BatchSelfAdjointEigV2
        BatchSvd Cholesky CholeskyGrad Eig Einsum LogMatrixDeterminant Lu MatrixDeterminant MatrixExponential
        MatrixInverse MatrixLogarithm MatrixSolve MatrixSolveLs MatrixSquareRoot MatrixTriangularSolve Qr
        SelfAdjointEig SelfAdjointEigV2 Svd TridiagonalMatMul TridiagonalSolve
    """,
    "list_ops": """
        EmptyTensorList TensorListConcat TensorListConcatLists TensorListConcatV2 TensorListElementShape
        TensorListFromTensor TensorListGather TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack
        TensorListPushBackBatch TensorListReserve TensorListResize TensorListScatter TensorListScatterIntoExistingList
        TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack
    """,
    "logging_ops": """
        Assert AudioSummary AudioSummaryV2 HistogramSummary ImageSummary MergeSummary Print PrintV2 ScalarSummary
        TensorSummary TensorSummaryV2 Timestamp
    """,
    "lookup_ops": """
        AnonymousHashTable AnonymousMutableDenseHashTable AnonymousMutableHashTable AnonymousMutableHashTableOfTensors
        HashTable HashTableV2 InitializeTable InitializeTableV2 LookupTableExport LookupTableExportV2 LookupTableFind
        LookupTableFindV2 LookupTableImport LookupTableImportV2 LookupTableInsert LookupTableInsertV2
        LookupTableRemoveV2 LookupTableSize LookupTableSizeV2 MutableDenseHashTable MutableDenseHashTableV2
        MutableHashTable MutableHashTableOfTensors MutableHashTableOfTensorsV2 MutableHashTableV2
    """,
    "manip_ops": """
        Roll
    """,
    "map_ops": """
        EmptyTensorMap TensorMapErase TensorMapHasKey TensorMapInsert TensorMapLookup TensorMapSize TensorMapStackKeys
    """,
    "math_ops": """
        Abs AccumulateNV2 Acos Acosh Add AddN AddV2 All Angle Any ApproximateEqual ArgMax ArgMin Asin Asinh Atan Atan2
        Atanh BatchMatMul BatchMatMulV2 BatchMatMulV3 Betainc Bincount Bucketize Cast Ceil ClipByValue Complex
        ComplexAbs Conj Cos Cosh Cross Cumprod Cumsum CumulativeLogsumexp DenseBincount Digamma Div DivNoNan Equal Erf
        Erfc Erfinv EuclideanNorm Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual HistogramFixedWidth Igamma
        IgammaGradA Igammac Imag Inv InvGrad IsFinite IsInf IsNan Less LessEqual Lgamma LinSpace Log Log1p LogicalAnd
        LogicalNot LogicalOr MatMul Max Maximum Mean Min Minimum Mod Mul MulNoNan Ndtri Neg NextAfter NotEqual
        Polygamma Pow Prod QuantizeDownAndShrinkRange QuantizedAdd QuantizedMatMul QuantizedMul RaggedBincount Range
        Real RealDiv Reciprocal ReciprocalGrad RequantizationRange RequantizationRangePerChannel Requantize
        RequantizePerChannel Rint Round Rsqrt RsqrtGrad SegmentMax SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2
        SegmentProd SegmentProdV2 SegmentSum SegmentSumV2 Select SelectV2 Sigmoid SigmoidGrad Sign Sin Sinh
        SobolSample SparseBincount SparseMatMul SparseSegmentMean SparseSegmentMeanGrad SparseSegmentMeanGradV2
        SparseSegmentMeanWithNumSegments SparseSegmentSqrtN SparseSegmentSqrtNGrad SparseSegmentSqrtNGradV2
        SparseSegmentSqrtNWithNumSegments SparseSegmentSum SparseSegmentSumGrad SparseSegmentSumGradV2
        SparseSegmentSumWithNumSegments Sqrt SqrtGrad Square SquaredDifference StochasticCastToInt Sub Sum Tan Tanh
        TanhGrad TruncateDiv TruncateMod UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum
        Xdivy Xlog1py Xlogy Zeta
    """,
    "nn_ops": """
        ApproxTopK AvgPool AvgPool3D AvgPool3DGrad AvgPoolGrad BatchNormWithGlobalNormalization
        BatchNormWithGlobalNormalizationGrad BiasAdd BiasAddGrad BiasAddV1 Conv Conv2D Conv2DBackpropFilter
        Conv2DBackpropFilterV2 Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D Conv3DBackpropFilter
        Conv3DBackpropFilterV2 Conv3DBackpropInput Conv3DBackpropInputV2 DataFormatDimMap DataFormatVecPermute
        DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Dilation2D
        Dilation2DBackpropFilter Dilation2DBackpropInput Elu EluGrad FractionalAvgPool FractionalAvgPoolGrad
        FractionalMaxPool FractionalMaxPoolGrad FusedBatchNorm FusedBatchNormGrad FusedBatchNormGradV2
        FusedBatchNormGradV3 FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D FusedResizeAndPadConv2D InTopK InTopKV2
        IsotonicRegression KthOrderStatistic L2Loss LRN LRNGrad LeakyRelu LeakyReluGrad LogSoftmax MakeUnique MaxPool
        MaxPool3D MaxPool3DGrad MaxPool3DGradGrad MaxPoolGrad MaxPoolGradGrad MaxPoolGradGradV2
        MaxPoolGradGradWithArgmax MaxPoolGradV2 MaxPoolGradWithArgmax MaxPoolV2 MaxPoolWithArgmax NthElement
        QuantizedAvgPool QuantizedBatchNormWithGlobalNormalization QuantizedBiasAdd QuantizedConv2D
        QuantizedConv2DAndRelu QuantizedConv2DAndReluAndRequantize QuantizedConv2DAndRequantize
        QuantizedConv2DPerChannel QuantizedConv2DWithBias QuantizedConv2DWithBiasAndRelu
        QuantizedConv2DWithBiasAndReluAndRequantize QuantizedConv2DWithBiasAndRequantize
        QuantizedConv2DWithBiasSignedSumAndReluAndRequantize QuantizedConv2DWithBiasSumAndRelu
        QuantizedConv2DWithBiasSumAndReluAndRequantize QuantizedDepthwiseConv2D QuantizedDepthwiseConv2DWithBias
        QuantizedDepthwiseConv2DWithBiasAndRelu QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize
        QuantizedMatMulWithBias QuantizedMatMulWithBiasAndDequantize QuantizedMatMulWithBiasAndRelu
        QuantizedMatMulWithBiasAndReluAndRequantize QuantizedMatMulWithBiasAndRequantize QuantizedMaxPool
        QuantizedRelu QuantizedRelu6 QuantizedReluX Relu Relu6 Relu6Grad ReluGrad Selu SeluGrad Softmax
        SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign SoftsignGrad SparseSoftmaxCrossEntropyWithLogits
        TopK TopKUnique TopKV2 TopKWithUnique
    """,
    "optional_ops": """
        OptionalFromValue OptionalGetValue OptionalHasValue OptionalNone
    """,
    "parsing_ops": """
        DecodeCSV DecodeCompressed DecodeJSONExample DecodePaddedRaw DecodeRaw ParseExample ParseExampleV2
        ParseSequenceExample ParseSequenceExampleV2 ParseSingleExample ParseSingleSequenceExample ParseTensor
        SerializeTensor StringToNumber
    """,
    "ragged_ops": """
        RaggedCross RaggedFillEmptyRows RaggedFillEmptyRowsGrad RaggedGather RaggedRange RaggedTensorFromVariant
        RaggedTensorToSparse RaggedTensorToTensor RaggedTensorToVariant RaggedTensorToVariantGradient
    """,
    "random_ops": """
        Multinomial ParameterizedTruncatedNormal RandomGamma RandomGammaGrad RandomPoisson RandomPoissonV2
        RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt TruncatedNormal
    """,
    "random_index_shuffle_ops": """
        RandomIndexShuffle
    """,
    "resource_variable_ops": """
        AssignAddVariableOp AssignSubVariableOp AssignVariableOp ConsumeMutexLock DestroyResourceOp DisableCopyOnRead
        MutexLock MutexV2 ReadVariableOp ResourceGather ResourceGatherNd ResourceScatterAdd ResourceScatterDiv
        ResourceScatterMax ResourceScatterMin ResourceScatterMul ResourceScatterSub ResourceScatterUpdate VarHandleOp
        VarIsInitializedOp VariableShape
    """,
    "rnn_ops": """
        BlockLSTM BlockLSTMGrad BlockLSTMGradV2 BlockLSTMV2 GRUBlockCell GRUBlockCellGrad LSTMBlockCell
        LSTMBlockCellGrad
    """,
    "set_ops": """
        DenseToDenseSetOperation DenseToSparseSetOperation SetSize SparseToSparseSetOperation
    """,
    "sparse_ops": """
        AddManySparseToTensorsMap AddSparseToTensorsMap DeserializeManySparse DeserializeSparse SerializeManySparse
        SerializeSparse SparseAdd SparseAddGrad SparseConcat SparseCross SparseCrossHashed SparseCrossV2
        SparseDenseCwiseAdd SparseDenseCwiseDiv SparseDenseCwiseMul SparseFillEmptyRows SparseFillEmptyRowsGrad
        SparseReduceMax SparseReduceMaxSparse SparseReduceSum SparseReduceSumSparse SparseReorder SparseReshape
        SparseSlice SparseSliceGrad SparseSoftmax SparseSparseMaximum SparseSparseMinimum SparseSplit
        SparseTensorDenseAdd SparseTensorDenseMatMul SparseToDense TakeManySparseFromTensorsMap
    """,
    "sparse_csr_matrix_ops": """
        CSRSparseMatrixComponents CSRSparseMatrixToDense CSRSparseMatrixToSparseTensor DenseToCSRSparseMatrix
        SparseMatrixAdd SparseMatrixMatMul SparseMatrixMul SparseMatrixNNZ SparseMatrixOrderingAMD SparseMatrixSoftmax
        SparseMatrixSoftmaxGrad SparseMatrixSparseCholesky SparseMatrixSparseMatMul SparseMatrixTranspose
        SparseMatrixZeros SparseTensorToCSRSparseMatrix
    """,
    "special_math_ops": """
        BesselI0 BesselI0e BesselI1 BesselI1e BesselJ0 BesselJ1 BesselK0 BesselK0e BesselK1 BesselK1e BesselY0
        BesselY1 Dawsn Expint FresnelCos FresnelSin Spence
    """,
    "spectral_ops": """
        BatchFFT BatchFFT2D BatchFFT3D BatchIFFT BatchIFFT2D BatchIFFT3D FFT FFT2D FFT3D FFTND IFFT IFFT2D IFFT3D
        IFFTND IRFFT IRFFT2D IRFFT3D IRFFTND RFFT RFFT2D RFFT3D RFFTND
    """,
    "state_ops": """
        Assign AssignAdd AssignSub CountUpTo DestroyTemporaryVariable IsVariableInitialized ResourceCountUpTo
        ResourceScatterNdAdd ResourceScatterNdMax ResourceScatterNdMin ResourceScatterNdSub ResourceScatterNdUpdate
        ScatterAdd ScatterDiv ScatterMax ScatterMin ScatterMul ScatterNdAdd ScatterNdMax ScatterNdMin ScatterNdSub
        ScatterNdUpdate ScatterSub ScatterUpdate TemporaryVariable Variable VariableV2
    """,
    "stateful_random_ops": """
        NonDeterministicInts RngReadAndSkip RngSkip StatefulRandomBinomial StatefulStandardNormal
        StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniform StatefulUniformFullInt StatefulUniformInt
    """,
    "stateless_random_ops": """
        StatelessMultinomial StatelessParameterizedTruncatedNormal StatelessRandomBinomial StatelessRandomGammaV2
        StatelessRandomGammaV3 StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg
        StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomPoisson StatelessRandomUniform
        StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
        StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessShuffle StatelessTruncatedNormal
        StatelessTruncatedNormalV2
    """,
    "string_ops": """
        AsString DecodeBase64 EncodeBase64 ReduceJoin RegexFullMatch RegexReplace StaticRegexFullMatch
        StaticRegexReplace StringFormat StringJoin StringLength StringLower StringNGrams StringSplit StringSplitV2
        StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong StringUpper Substr
        UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode UnicodeScript UnicodeTranscode UnsortedSegmentJoin
    """,
    "training_ops": """
        ApplyAdaMax ApplyAdadelta ApplyAdagrad ApplyAdagradDA ApplyAdagradV2 ApplyAdam ApplyAddSign
        ApplyCenteredRMSProp ApplyFtrl ApplyFtrlV2 ApplyGradientDescent ApplyMomentum ApplyPowerSign
        ApplyProximalAdagrad ApplyProximalGradientDescent ApplyRMSProp ResourceApplyAdaMax ResourceApplyAdadelta
        ResourceApplyAdagrad ResourceApplyAdagradDA ResourceApplyAdagradV2 ResourceApplyAdam
        ResourceApplyAdamWithAmsgrad ResourceApplyAddSign ResourceApplyCenteredRMSProp ResourceApplyFtrl
        ResourceApplyFtrlV2 ResourceApplyGradientDescent ResourceApplyKerasMomentum ResourceApplyMomentum
        ResourceApplyPowerSign ResourceApplyProximalAdagrad ResourceApplyProximalGradientDescent ResourceApplyRMSProp
        ResourceSparseApplyAdadelta ResourceSparseApplyAdagrad ResourceSparseApplyAdagradDA
        ResourceSparseApplyAdagradV2 ResourceSparseApplyCenteredRMSProp ResourceSparseApplyFtrl
        ResourceSparseApplyFtrlV2 ResourceSparseApplyKerasMomentum ResourceSparseApplyMomentum
        ResourceSparseApplyProximalAdagrad ResourceSparseApplyProximalGradientDescent ResourceSparseApplyRMSProp
        SparseApplyAdadelta SparseApplyAdagrad SparseApplyAdagradDA SparseApplyAdagradV2 SparseApplyCenteredRMSProp
        SparseApplyFtrl SparseApplyFtrlV2 SparseApplyMomentum SparseApplyProximalAdagrad
        SparseApplyProximalGradientDescent SparseApplyRMSProp
    """,
    "uniform_quant_ops": """
        UniformDequantize UniformQuantize UniformQuantizedAdd UniformQuantizedClipByValue UniformQuantizedConvolution
        UniformQuantizedConvolutionHybrid UniformQuantizedDot UniformQuantizedDotHybrid UniformRequantize
    """,
}

TENSORFLOW = frozenset(name for names in _TENSORFLOW.values() for name in names.split())

# These read a text file into a table. Allowed for the model's own assets.
TENSORFLOW_ASSET_READERS = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})

# These read and write checkpoints. Every SavedModel has them: allowed for the load of the model's own variables, and in
# the parts of the graph that only save the model again.
TENSORFLOW_RESTORERS = frozenset({"Restore", "RestoreSlice", "RestoreV2"})
TENSORFLOW_SAVERS = frozenset({"MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2"})

# ONNX's own domains; all their operators compute: https://onnx.ai/onnx/operators/
ONNX_DOMAINS = frozenset({"", "ai.onnx.ml"})

# The operators that ONNX Runtime 1.12 adds, for example to quantized models:
# https://github.com/microsoft/onnxruntime/blob/v1.12.1/docs/ContribOperators.md
ONNX_RUNTIME_DOMAIN = "com.microsoft"
_ONNX_RUNTIME = """
    Attention AttnLSTM BeamSearch BiasDropout BiasGelu BiasSoftmax BifurcationDetector BitmaskBiasDropout
    BitmaskDropout CDist ComplexMul ComplexMulConj ConvTransposeWithDynamicPads CropAndResize DecoderAttention
    DequantizeBFP DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization ExpandDims
    FastGelu FusedConv FusedGemm FusedMatMul GatherND Gelu GreedySearch GridSample Inverse Irfft LongformerAttention
    MatMulInteger16 MatMulIntegerToFloat MaxpoolWithMask MulInteger MurmurHash3 NGramRepeatBlock NhwcConv NhwcMaxPool
    Pad QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv
    QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax
    QOrderedAttention QOrderedGelu QOrderedLayerNormalization QOrderedLongformerAttention QOrderedMatMul QuantizeBFP
    QuantizeLinear Range ReduceSumInteger Rfft SampleOp SkipLayerNormalization SparseToDenseMatMul Tokenizer
    TorchEmbedding TransposeMatMul Trilu Unique WordConvEmbedding
"""
ONNX_RUNTIME = frozenset(_ONNX_RUNTIME.split())
